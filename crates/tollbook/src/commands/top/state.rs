//! What is shown, and what a key does. Pure: no terminal, no clock, no waiting.

use super::feed::{Figures, News};
use super::streams::Stream;
use crate::config::NamedZone;
use crate::source::Sums;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::cmp::Ordering;
use tollbook_store::Dimension;

/// A longer filter is not typed.
const FILTER_CHARS_MAX: usize = 200;
/// What the view of users is split by, in turn.
const WHO: [&str; 3] = ["user", "key", "agent"];

/// What one looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    #[default]
    Overview,
    Models,
    Users,
    Calls,
    Calendar,
}

impl View {
    /// All of them, in order.
    pub const ALL: [View; 5] = [View::Overview, View::Models, View::Users, View::Calls, View::Calendar];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            View::Overview => "Overview",
            View::Models => "Models",
            View::Users => "Users",
            View::Calls => "Calls",
            View::Calendar => "Calendar",
        }
    }
}

/// Which stretch of time the sums are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    Hour,
    #[default]
    Today,
    Week,
    Month,
    Quarter,
}

impl Range {
    const ALL: [Range; 5] = [Range::Hour, Range::Today, Range::Week, Range::Month, Range::Quarter];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Range::Hour => "last hour",
            Range::Today => "today",
            Range::Week => "7 days",
            Range::Month => "30 days",
            Range::Quarter => "90 days",
        }
    }

    fn step(self, by: isize) -> Range {
        let at = Range::ALL.iter().position(|range| *range == self).unwrap_or(1);
        Range::ALL[at.saturating_add_signed(by).min(Range::ALL.len() - 1)]
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Cost,
    Name,
    Tokens,
}

/// Which figures are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    pub view: View,
    pub range: Range,
    /// What the view of users is split by.
    pub by: &'static str,
    pub filters: Vec<(String, String)>,
}

impl Default for Wants {
    fn default() -> Wants {
        Wants { view: View::default(), range: Range::default(), by: WHO[0], filters: Vec::new() }
    }
}

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Up,
    Down,
    Next,
    Back,
    Enter,
    Escape,
    Delete,
    /// Ctrl-c.
    Interrupt,
}

impl Key {
    /// The key behind an event.
    pub fn of(event: &KeyEvent) -> Option<Key> {
        Some(match event.code {
            KeyCode::Char('c') if event.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
            KeyCode::Char(_) if event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
                return None;
            }
            KeyCode::Char(c) => Key::Char(c),
            KeyCode::Up => Key::Up,
            KeyCode::Down => Key::Down,
            KeyCode::Tab | KeyCode::Right => Key::Next,
            KeyCode::BackTab | KeyCode::Left => Key::Back,
            KeyCode::Enter => Key::Enter,
            KeyCode::Esc => Key::Escape,
            KeyCode::Backspace => Key::Delete,
            _ => return None,
        })
    }
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing but to draw.
    None,
    /// Other figures are wanted.
    Ask,
    /// Enough was seen.
    End,
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct State {
    wants: Wants,
    pub sort: Sort,
    /// The chosen row.
    pub chosen: usize,
    /// Whether the chosen call is open.
    pub is_open: bool,
    pub has_help: bool,
    /// Whether news is passed over.
    pub is_paused: bool,
    pub has_colours: bool,
    /// Whether a server tells of streams and budgets.
    pub is_live: bool,
    /// The zone of days.
    pub zone: NamedZone,
    /// What is being typed after `/`.
    pub typed: Option<String>,
    /// The figures, once there are any.
    pub figures: Option<Figures>,
    pub streams: Vec<Stream>,
    /// What went wrong last.
    pub problem: Option<String>,
}

impl State {
    /// At the start.
    pub fn new(zone: NamedZone, is_live: bool) -> State {
        State { zone, is_live, ..State::default() }
    }

    /// Which figures are wanted.
    pub fn wants(&self) -> Wants {
        self.wants.clone()
    }

    /// What is looked at.
    pub fn view(&self) -> View {
        self.wants.view
    }

    /// The stretch of time.
    pub fn range(&self) -> Range {
        self.wants.range
    }

    /// What the view of users is split by.
    pub fn by(&self) -> &'static str {
        self.wants.by
    }

    /// The filters, as they were typed.
    pub fn filter_text(&self) -> String {
        let texts: Vec<String> =
            self.wants.filters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        texts.join(" ")
    }

    /// Takes news, unless it is paused or answers what is no longer wanted.
    pub fn hear(&mut self, news: News) {
        if self.is_paused {
            return;
        }
        match news {
            News::Figures(figures) => {
                self.problem = None;
                if figures.wants == self.wants {
                    self.figures = Some(*figures);
                    self.chosen = self.chosen.min(self.length().saturating_sub(1));
                }
            }
            News::Streams(streams) => self.streams = streams,
            News::Problem(problem) => self.problem = Some(problem),
        }
    }

    /// Does what a key says.
    pub fn press(&mut self, key: Key) -> Act {
        if key == Key::Interrupt {
            return Act::End;
        }
        if self.typed.is_some() {
            return self.type_filter(key);
        }
        if self.has_help {
            self.has_help = false;
            return Act::None;
        }
        match key {
            Key::Char('q') => return Act::End,
            Key::Escape if self.is_open => self.is_open = false,
            Key::Escape if !self.wants.filters.is_empty() => {
                self.wants.filters.clear();
                return Act::Ask;
            }
            Key::Char(digit @ '1'..='5') => {
                let at = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                return self.look_at(View::ALL[at]);
            }
            Key::Next => return self.turn(1),
            Key::Back => return self.turn(View::ALL.len() - 1),
            Key::Up | Key::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            Key::Down | Key::Char('j') => {
                self.chosen = (self.chosen + 1).min(self.length().saturating_sub(1));
            }
            Key::Enter => return self.enter(),
            Key::Char('c') => self.sort = Sort::Cost,
            Key::Char('n') => self.sort = Sort::Name,
            Key::Char('t') => self.sort = Sort::Tokens,
            Key::Char('u') if self.wants.view == View::Users => {
                let at = WHO.iter().position(|who| *who == self.wants.by).unwrap_or(0);
                self.wants.by = WHO[(at + 1) % WHO.len()];
                self.chosen = 0;
                return Act::Ask;
            }
            Key::Char('/') => self.typed = Some(self.filter_text()),
            Key::Char('[') => return self.step(-1),
            Key::Char(']') => return self.step(1),
            Key::Char(' ') => self.is_paused = !self.is_paused,
            Key::Char('r') => return Act::Ask,
            Key::Char('p') => self.has_colours = !self.has_colours,
            Key::Char('?') => self.has_help = true,
            _ => {}
        }
        Act::None
    }

    fn look_at(&mut self, view: View) -> Act {
        (self.wants.view, self.chosen, self.is_open) = (view, 0, false);
        Act::Ask
    }

    fn turn(&mut self, by: usize) -> Act {
        let at = View::ALL.iter().position(|view| *view == self.wants.view).unwrap_or(0);
        self.look_at(View::ALL[(at + by) % View::ALL.len()])
    }

    fn step(&mut self, by: isize) -> Act {
        self.wants.range = self.wants.range.step(by);
        Act::Ask
    }

    /// Opens the chosen call; from the chosen model or user leads to its calls.
    fn enter(&mut self) -> Act {
        let by = match self.wants.view {
            View::Models => "model",
            View::Users => self.wants.by,
            View::Overview | View::Calls => {
                self.is_open = !self.is_open && self.length() > 0;
                return Act::None;
            }
            View::Calendar => return Act::None,
        };
        let Some(key) = self.rows().get(self.chosen).map(|row| row.key.clone().unwrap_or_default()) else {
            return Act::None;
        };
        self.wants.filters.retain(|(name, _)| name != by);
        self.wants.filters.push((by.to_owned(), key));
        self.look_at(View::Calls)
    }

    fn type_filter(&mut self, key: Key) -> Act {
        let Some(typed) = &mut self.typed else { return Act::None };
        match key {
            Key::Char(c) if typed.chars().count() < FILTER_CHARS_MAX => typed.push(c),
            Key::Delete => drop(typed.pop()),
            Key::Escape => self.typed = None,
            Key::Enter => match read_filters(typed) {
                Ok(filters) => {
                    (self.wants.filters, self.typed, self.chosen) = (filters, None, 0);
                    return Act::Ask;
                }
                Err(problem) => self.problem = Some(problem),
            },
            _ => {}
        }
        Act::None
    }

    /// The rows of the view, sorted.
    pub fn rows(&self) -> Vec<&Sums> {
        let Some(figures) = &self.figures else { return Vec::new() };
        let mut rows: Vec<&Sums> = figures.rows.iter().collect();
        let by_cost = |a: &&Sums, b: &&Sums| b.cost_usd.cmp(&a.cost_usd);
        let by_name = |a: &&Sums, b: &&Sums| a.key.cmp(&b.key);
        rows.sort_by(|a, b| match self.sort {
            Sort::Cost => by_cost(a, b).then_with(|| by_name(a, b)),
            Sort::Name => by_name(a, b),
            Sort::Tokens => {
                b.total_tokens.cmp(&a.total_tokens).then(Ordering::Equal).then_with(|| by_name(a, b))
            }
        });
        rows
    }

    /// How many rows can be chosen from.
    fn length(&self) -> usize {
        let Some(figures) = &self.figures else { return 0 };
        match self.wants.view {
            View::Models | View::Users => figures.rows.len(),
            View::Calls | View::Overview => figures.calls.len(),
            View::Calendar => 0,
        }
    }
}

/// `KEY=VALUE`, separated by blanks.
fn read_filters(text: &str) -> Result<Vec<(String, String)>, String> {
    let one = |word: &str| -> Result<(String, String), String> {
        let (key, value) =
            word.split_once('=').ok_or_else(|| format!("{word} is no filter: write KEY=VALUE"))?;
        key.trim_end_matches('!').parse::<Dimension>()?;
        Ok((key.to_owned(), value.to_owned()))
    };
    text.split_whitespace().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(state: &State, names: &[(&str, &str)]) -> News {
        let row = |(name, cost): &(&str, &str)| Sums {
            key: Some((*name).to_owned()),
            cost_usd: cost.parse().ok(),
            total_tokens: name.len() as u64,
            ..Sums::default()
        };
        let rows = names.iter().map(row).collect();
        News::Figures(Box::new(Figures { wants: state.wants(), rows, ..Figures::default() }))
    }

    fn pressed(state: &mut State, keys: &str) -> Act {
        keys.chars().fold(Act::None, |_, c| {
            state.press(match c {
                '⏎' => Key::Enter,
                '⎋' => Key::Escape,
                '⌫' => Key::Delete,
                '↓' => Key::Down,
                '↑' => Key::Up,
                '⇥' => Key::Next,
                c => Key::Char(c),
            })
        })
    }

    #[test]
    fn keys_do_what_the_help_says() {
        // What is pressed; the view, range, filter and row after it; and what is to be done.
        let cases = [
            ("2", "Models today  0", Act::Ask),
            ("⇥⇥⇥⇥⇥", "Overview today  0", Act::Ask),
            ("2↓↓↓", "Models today  1", Act::None),
            ("2↓↑↑", "Models today  0", Act::None),
            ("]]]]]]", "Overview 90 days  0", Act::Ask),
            ("[[[", "Overview last hour  0", Act::Ask),
            ("2↓⏎", "Calls today model=a 0", Act::Ask),
            ("2n↓⏎", "Calls today model=b 0", Act::Ask),
            ("2n⏎", "Calls today model=a 0", Act::Ask),
            ("3u⏎", "Calls today key=b 0", Act::Ask),
            ("/model=x user!=y⏎", "Overview today model=x user!=y 0", Act::Ask),
            ("/model=x⏎⎋", "Overview today  0", Act::Ask),
            ("/model=xy⌫⏎", "Overview today model=x 0", Act::Ask),
            ("/nonsense=1⏎", "Overview today  0", Act::None),
            ("/q", "Overview today  0", Act::None),
            ("?q", "Overview today  0", Act::None),
            ("r", "Overview today  0", Act::Ask),
            ("q", "Overview today  0", Act::End),
        ];
        for (keys, wanted, act) in cases {
            let mut state = State::new(NamedZone::default(), true);
            let mut last = Act::None;
            for key in keys.chars() {
                last = pressed(&mut state, &key.to_string());
                if last == Act::Ask {
                    let told = figures(&state, &[("b", "2"), ("a", "1")]);
                    state.hear(told);
                }
            }
            let found = format!(
                "{} {} {} {}",
                state.view().name(),
                state.range().name(),
                state.filter_text(),
                state.chosen
            );
            assert_eq!((found.as_str(), last), (wanted, act), "{keys}");
        }
        assert_eq!(State::default().press(Key::Interrupt), Act::End);
    }

    #[test]
    fn rows_are_sorted_as_asked_and_what_has_no_cost_comes_last() {
        let mut state = State::new(NamedZone::default(), true);
        pressed(&mut state, "2");
        state.hear(figures(&state, &[("ccc", ""), ("b", "1"), ("aa", "3")]));
        for (key, wanted) in [("c", "aa b ccc"), ("n", "aa b ccc"), ("t", "ccc aa b")] {
            pressed(&mut state, key);
            let names: Vec<&str> = state.rows().iter().filter_map(|row| row.key.as_deref()).collect();
            assert_eq!(names.join(" "), wanted, "{key}");
        }
    }

    #[test]
    fn a_pause_holds_everything_and_late_answers_are_passed_over() {
        let mut state = State::new(NamedZone::default(), true);
        pressed(&mut state, "2");
        let late = figures(&state, &[("late", "1")]);
        pressed(&mut state, "3");
        state.hear(late);
        assert!(state.figures.is_none());
        pressed(&mut state, " ");
        state.hear(figures(&state, &[("a", "1")]));
        state.hear(News::Problem("x".to_owned()));
        assert!(state.figures.is_none() && state.problem.is_none());
        pressed(&mut state, " ");
        state.hear(figures(&state, &[("a", "1")]));
        assert_eq!(state.rows().len(), 1);
    }
}
