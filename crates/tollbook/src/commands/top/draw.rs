//! Pictures of a state. Every text of strangers is made safe before it is drawn; colours never say
//! anything alone.

use super::picture::{bar, shade, spark};
use super::state::{Sort, State, View};
use crate::out::number::{brief_dollars, count, short_count};
use crate::out::table::{Cell, Column, Table};
use crate::out::text::{columns, cut, fold, pad, visible};
use crate::source::{Standing, Sums};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use serde_json::Value;
use tollbook_types::{Money, Timestamp};

/// The smallest terminal that anything is drawn on.
const SMALLEST: (u16, u16) = (40, 8);

/// Everything.
pub fn all(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = "tollbook top needs 40 columns and 8 lines; q ends it";
        let lines = fold(text, usize::from(area.width)).into_iter().map(Line::raw).collect::<Vec<_>>();
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let page = Page { state, width: usize::from(area.width), height: usize::from(area.height) - 3 };
    let mut lines = vec![page.head(), page.totals()];
    let body = match (state.has_help, state.is_open, state.view()) {
        (true, ..) => page.help(),
        (_, true, _) => page.call(),
        (.., View::Overview) => page.overview(),
        (.., View::Models | View::Users) => page.rows(),
        (.., View::Calls) => page.calls(page.height),
        (.., View::Calendar) => page.calendar(),
    };
    lines.extend(body.into_iter().take(page.height));
    frame.render_widget(Paragraph::new(lines), Rect { height: area.height - 1, ..area });
    let foot = Rect { y: area.y + area.height - 1, height: 1, ..area };
    frame.render_widget(Paragraph::new(page.foot()), foot);
}

/// What is drawn, and the room for it.
struct Page<'a> {
    state: &'a State,
    width: usize,
    height: usize,
}

impl Page<'_> {
    fn style(&self, colour: Color) -> Style {
        if self.state.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// The views, the range, the zone.
    fn head(&self) -> Line<'static> {
        let mut spans = Vec::new();
        for (nth, view) in View::ALL.into_iter().enumerate() {
            let is_here = view == self.state.view();
            // Narrow terminals have the number alone, but for the view that is open.
            let text = if is_here || self.width >= 90 {
                format!(" {} {} ", nth + 1, view.name())
            } else {
                format!(" {} ", nth + 1)
            };
            let style = if is_here { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            spans.push(Span::styled(text, style));
        }
        let live = match (self.state.is_paused, self.state.is_live) {
            (true, _) => "paused",
            (_, true) => "live",
            _ => "no server",
        };
        let right = format!("{} · {} · {live}", self.state.range().name(), visible(&self.state.zone.name));
        let used: usize = spans.iter().map(Span::width).sum();
        let gap = self.width.saturating_sub(used + columns(&right)).max(1);
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(cut(&right, self.width.saturating_sub(used + 1)), self.style(Color::Cyan)));
        Line::from(spans)
    }

    /// The sums of the range.
    fn totals(&self) -> Line<'static> {
        let Some(figures) = &self.state.figures else { return Line::raw("asking …") };
        let total = &figures.total;
        let mut text = format!(
            "{}  {} calls  {} in  {} out",
            cost(total),
            count(total.calls),
            short_count(total.input_tokens),
            short_count(total.output_tokens)
        );
        for (calls, what) in
            [(total.errors, "errors"), (total.unpriced_calls, "unpriced"), (total.unknown_calls, "unknown")]
        {
            if calls > 0 {
                text.push_str(&format!("  {} {what}", count(calls)));
            }
        }
        Line::styled(cut(&text, self.width), Style::new().add_modifier(Modifier::BOLD))
    }

    fn foot(&self) -> Line<'static> {
        let state = self.state;
        if let Some(typed) = &state.typed {
            let problem = state.problem.as_deref().map(|problem| format!("   {problem}")).unwrap_or_default();
            return Line::raw(cut(&visible(&format!("filter: {typed}▏{problem}")), self.width));
        }
        if let Some(problem) = &state.problem {
            let text = cut(&visible(&format!("! {problem}")), self.width);
            return Line::styled(text, self.style(Color::Red).add_modifier(Modifier::BOLD));
        }
        let filters = state.filter_text();
        let keys = "1-5 view  ↑↓ ⏎  / filter  [ ] range  ␣ pause  ? help  q end";
        let text =
            if filters.is_empty() { keys.to_owned() } else { format!("only {filters}   Esc all   {keys}") };
        Line::styled(cut(&visible(&text), self.width), self.style(Color::DarkGray))
    }

    fn overview(&self) -> Vec<Line<'static>> {
        let Some(figures) = &self.state.figures else { return Vec::new() };
        let mut lines: Vec<Line<'static>> =
            figures.budgets.iter().take(4).map(|budget| self.budget(budget, figures.second)).collect();
        let burn = figures.last_hour.cost_usd.unwrap_or_default();
        let mut text = format!("today {}  {}/h", cost(&figures.today), brief_dollars(burn));
        if let Some(month) = figures.month.cost_usd {
            text.push_str(&format!("  month {}", brief_dollars(month)));
            if let Some(whole) = projected(month, figures.month_passed) {
                text.push_str(&format!(", at this pace {}", brief_dollars(whole)));
            }
        }
        lines.push(Line::raw(cut(&text, self.width)));
        let costs: Vec<Money> = figures.series.iter().map(|row| row.cost_usd.unwrap_or_default()).collect();
        if costs.len() > 1 {
            let line = spark(&costs, self.width);
            lines.push(Line::styled(line, self.style(Color::Green)));
        }
        let streams = &self.state.streams;
        if !streams.is_empty() {
            let told = streams.iter().map(|stream| {
                format!("{} ~{} out", stream.model, short_count(stream.output_tokens_estimate))
            });
            let text = format!("{} running: {}", streams.len(), told.collect::<Vec<_>>().join(", "));
            lines.push(Line::styled(cut(&visible(&text), self.width), self.style(Color::Yellow)));
        }
        let room = self.height.saturating_sub(lines.len());
        lines.extend(self.calls(room));
        lines
    }

    /// A budget's bar, with words.
    fn budget(&self, budget: &Standing, now: i64) -> Line<'static> {
        let percent = budget.percent();
        let amount = |amount: i128| match budget.is_usd {
            true => brief_dollars(Money::from_picos(amount)),
            false => amount.to_string(),
        };
        let resets =
            budget.resets_at.map(|at| at.as_second() - now).map_or(String::new(), |seconds| match seconds {
                seconds if seconds >= 172_800 => format!(" · {} d", seconds / 86_400),
                seconds if seconds >= 3_600 => format!(" · {} h", seconds / 3_600),
                seconds => format!(" · {} min", seconds.max(0) / 60),
            });
        let spent = if percent >= 100 { " SPENT" } else { "" };
        let words =
            format!("{percent:>3} %{spent} {} of {}{resets}", amount(budget.used), amount(budget.limit));
        let name_width = (self.width / 4).clamp(10, 30);
        let bar_width = self.width.saturating_sub(name_width + columns(&words) + 2).min(40);
        let colour = match percent {
            0..80 => Color::Green,
            80..100 => Color::Yellow,
            _ => Color::Red,
        };
        Line::from(vec![
            Span::raw(format!("{} ", pad(&cut(&visible(&budget.name), name_width), name_width))),
            Span::styled(bar(percent, bar_width), self.style(colour)),
            Span::raw(format!(" {words}")),
        ])
    }

    fn rows(&self) -> Vec<Line<'static>> {
        let name = if self.state.view() == View::Models { "model" } else { self.state.by() };
        let mark = |sort: Sort, title: &str| {
            if self.state.sort == sort { format!("{title}↓") } else { title.to_owned() }
        };
        let mut table = Table::new(vec![
            Column::text(&mark(Sort::Name, name)).whole(),
            Column::number("calls").expendable(1),
            Column::number("errors").expendable(4),
            Column::number("in").expendable(3),
            Column::number("out").expendable(3),
            Column::number(&mark(Sort::Tokens, "tokens")).expendable(2),
            Column::number("ms").expendable(5),
            Column::number(&mark(Sort::Cost, "cost")),
        ]);
        let name_width = self.width.saturating_sub(50).clamp(20, 48);
        for row in self.state.rows() {
            table.row(vec![
                name_cell(row.key.as_deref(), name_width),
                Cell::Count(row.calls),
                Cell::Count(row.errors),
                Cell::Text(short_count(row.input_tokens)),
                Cell::Text(short_count(row.output_tokens)),
                Cell::Text(short_count(row.total_tokens)),
                row.latency_ms_avg.map_or(Cell::Word("–"), Cell::Count),
                Cell::Text(cost(row)),
            ]);
        }
        self.chosen_of(&table, self.height, "no call in this stretch of time; [ and ] choose another")
    }

    /// The list of calls, in so many lines.
    fn calls(&self, room: usize) -> Vec<Line<'static>> {
        let Some(figures) = &self.state.figures else { return Vec::new() };
        let mut table = Table::new(vec![
            Column::text("time").whole(),
            Column::text("model").whole(),
            Column::text("user").whole().expendable(3),
            Column::number("in").expendable(2),
            Column::number("out").expendable(2),
            Column::number("ms").expendable(4),
            Column::text("status").whole().expendable(5),
            Column::number("cost"),
        ]);
        let name_width = self.width.saturating_sub(50).clamp(14, 34);
        for call in &figures.calls {
            let text = |name: &str| call[name].as_str();
            let tokens = |name: &str| call["usage"][name].as_u64().map_or("–".to_owned(), short_count);
            let price = text("cost_usd").and_then(|text| text.parse::<Money>().ok());
            table.row(vec![
                Cell::Text(text("occurred_at").map_or_else(String::new, |at| self.clock_time(at))),
                name_cell(text("model"), name_width),
                name_cell(text("user"), 16),
                Cell::Text(tokens("input_tokens")),
                Cell::Text(tokens("output_tokens")),
                call["latency_ms"].as_u64().map_or(Cell::Word("–"), Cell::Count),
                name_cell(text("status").filter(|status| *status != "ok"), 14),
                price.map_or(Cell::Word("no cost"), |price| Cell::Text(brief_dollars(price))),
            ]);
        }
        self.chosen_of(&table, room, "no call is like that")
    }

    /// The time of day of an instant, in the zone.
    fn clock_time(&self, at: &str) -> String {
        match at.parse::<Timestamp>() {
            Ok(at) => self.state.zone.zone.to_datetime(at).strftime("%H:%M:%S").to_string(),
            Err(_) => "–".to_owned(),
        }
    }

    /// A table's lines in so much room, the chosen row in sight and marked.
    fn chosen_of(&self, table: &Table, room: usize, none: &str) -> Vec<Line<'static>> {
        let mut lines = table.lines(self.width, false).into_iter();
        let Some(head) = lines.next() else { return Vec::new() };
        let rows: Vec<String> = lines.collect();
        if rows.is_empty() {
            return fold(none, self.width).into_iter().map(Line::raw).collect();
        }
        let seen = room.saturating_sub(1).max(1);
        let first = (self.state.chosen + 1).saturating_sub(seen);
        let mut shown = vec![Line::styled(head, Style::new().add_modifier(Modifier::UNDERLINED))];
        for (nth, row) in rows.into_iter().enumerate().skip(first).take(seen) {
            let style = match nth == self.state.chosen {
                true => Style::new().add_modifier(Modifier::REVERSED),
                false => Style::new(),
            };
            shown.push(Line::styled(pad(&cut(&row, self.width), self.width), style));
        }
        shown
    }

    /// The chosen call, member by member.
    fn call(&self) -> Vec<Line<'static>> {
        let calls = self.state.figures.as_ref().map(|figures| &figures.calls);
        let Some(Value::Object(call)) = calls.and_then(|calls| calls.get(self.state.chosen)) else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        for (name, value) in call {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Array(list) if list.is_empty() => continue,
                Value::Object(members) if members.is_empty() => continue,
                other => other.to_string(),
            };
            let text = format!("{:<18} {}", name.replace('_', " "), visible(&text));
            lines.push(Line::raw(cut(&text, self.width)));
        }
        lines
    }

    /// Weeks from left to right, days from top to bottom.
    fn calendar(&self) -> Vec<Line<'static>> {
        let Some(figures) = &self.state.figures else { return Vec::new() };
        let costs = figures.days.iter().map(|(day, row)| (*day, row.cost_usd.unwrap_or_default()));
        let costs: std::collections::HashMap<i64, Money> = costs.collect();
        let mut all: Vec<Money> = costs.values().copied().filter(|cost| cost.picos() > 0).collect();
        all.sort_unstable();
        let most = all.last().copied().unwrap_or_default();
        let weeks = figures.first_day / 7 + 1;
        let mut lines = vec![Line::raw(cut(
            &format!("{weeks} weeks of days; █ is the dearest quarter, up to {}", brief_dollars(most)),
            self.width,
        ))];
        for (weekday, name) in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].into_iter().enumerate() {
            let mut text = format!("{name} ");
            for week in 0..weeks {
                let day = week * 7 + i64::try_from(weekday).unwrap_or(0);
                let sign = match day <= figures.first_day {
                    true => shade(costs.get(&day).copied().unwrap_or_default(), &all),
                    false => ' ',
                };
                text.extend([sign, sign, ' ']);
            }
            lines.push(Line::styled(cut(&text, self.width), self.style(Color::Green)));
        }
        lines
    }

    fn help(&self) -> Vec<Line<'static>> {
        [
            "1-5, Tab   overview, models, users, calls, calendar",
            "↑ ↓        choose a row; Enter opens a call, or lists the calls of a model or user",
            "u          users, keys or agents",
            "c n t      sort by cost, name, tokens",
            "/          filter: KEY=VALUE KEY!=VALUE …; Esc takes it away",
            "[ ]        a shorter or longer stretch of time",
            "space      pause;  r  ask again now",
            "p          with or without colours",
            "q          end",
        ]
        .into_iter()
        .map(|text| Line::raw(cut(text, self.width)))
        .collect()
    }
}

fn name_cell(name: Option<&str>, width: usize) -> Cell {
    name.map_or(Cell::Word("–"), |name| Cell::Text(cut(&visible(name), width)))
}

/// What calls cost, or why there is no amount.
fn cost(sums: &Sums) -> String {
    match sums.cost_usd {
        Some(amount) => brief_dollars(amount),
        None if sums.calls == 0 => brief_dollars(Money::ZERO),
        None if sums.unpriced_calls > 0 => "unpriced".to_owned(),
        None => "unknown".to_owned(),
    }
}

/// What a month comes to that goes on as it went.
fn projected(so_far: Money, (passed, whole): (i64, i64)) -> Option<Money> {
    if passed <= 0 {
        return None;
    }
    Some(Money::from_picos(so_far.picos().checked_mul(i128::from(whole))? / i128::from(passed)))
}

#[cfg(test)]
mod tests;
