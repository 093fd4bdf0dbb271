//! A budget as it stands on the command line: `tag.team=ops 200/month`.

use crate::cli::BudgetSetArgs;
use crate::failure::Failure;
use serde_json::Value;
use std::collections::BTreeMap;
use tollbook_budget::BudgetForm;
use tollbook_types::Money;

/// Days, hours and minutes of a rolling window, in minutes.
const SPANS: [(char, u32); 3] = [('m', 1), ('h', 60), ('d', 24 * 60)];
/// Short ends of counts.
const SHORT: [(char, u128); 3] = [('k', 1_000), ('m', 1_000_000), ('b', 1_000_000_000)];

/// The budget that the options describe.
pub fn form(args: &BudgetSetArgs) -> Result<BudgetForm, Failure> {
    let mut form = BudgetForm {
        matches: scope(&args.scope)?,
        each: args.each.clone(),
        time_zone: args.tz.clone(),
        first_day: args.first_day.clone(),
        reset_day: args.reset_day,
        warn_at: args.warn.clone(),
        notify: args.notify.clone(),
        ..BudgetForm::default()
    };
    let (amount, window) = args.amount.rsplit_once('/').ok_or_else(|| {
        Failure::usage(format!(
            "{:?} is no limit: write AMOUNT/WINDOW, such as 200/month or \"5M tokens/day\"",
            args.amount
        ))
    })?;
    set_window(&mut form, window.trim())?;
    set_limit(&mut form, amount.trim())?;
    form.at_limit = Some(effect(args).to_owned());
    form.downgrade = downgrade(&args.downgrade, &form.matches)?;
    form.fit_max_tokens = args.fit.then_some(true);
    form.mode = Some(if args.strict { "strict" } else { "expected" }.to_owned());
    form.name = args.name.clone().unwrap_or_else(|| name(args, window.trim()));
    Ok(form)
}

/// The amount of a raise, as the limit of the budget counts: with its unit, or without one.
pub fn raise(text: &str, budget: &Value) -> Result<String, Failure> {
    let mut form = BudgetForm::default();
    set_limit(&mut form, text)?;
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_');
    let limits = [
        ("limit_usd", form.limit_usd),
        ("limit_tokens", form.limit_tokens.map(|count| count.to_string())),
        ("limit_calls", form.limit_calls.map(|count| count.to_string())),
    ];
    let told = limits.into_iter().find_map(|(name, amount)| Some((name, amount?)));
    match told {
        Some((name, amount)) if is_plain || !budget[name].is_null() => Ok(amount),
        _ => Err(Failure::usage(format!("{text:?} is not in the unit of the limit"))),
    }
}

fn name(args: &BudgetSetArgs, window: &str) -> String {
    let each = args.each.as_ref().map_or(String::new(), |each| format!(" each {each}"));
    format!("{}{each} per {window}", args.scope)
}

fn effect(args: &BudgetSetArgs) -> &'static str {
    match args {
        args if args.warn_only => "warn",
        args if args.throttle => "throttle",
        args if !args.downgrade.is_empty() => "downgrade",
        _ => "block",
    }
}

/// Whose calls: `all`, or pairs.
pub fn scope(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    if text == "all" {
        return Ok(BTreeMap::new());
    }
    let mut matches = BTreeMap::new();
    for pair in text.split(',') {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!("{pair:?} is no scope: write all, or KEY=VALUE such as tag.team=ops"))
        })?;
        if matches.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
            return Err(Failure::usage(format!("{key} stands twice: a call has one value of it")));
        }
    }
    Ok(matches)
}

fn downgrade(
    models: &[String],
    matches: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match (text.split_once('='), matches.get("model")) {
        (Some((from, to)), _) => Ok((from.to_owned(), to.to_owned())),
        (None, Some(from)) => Ok((from.clone(), text.clone())),
        (None, None) => Err(Failure::usage(format!(
            "--downgrade {text}: say from which model, FROM={text}, or name the model in the scope"
        ))),
    };
    models.iter().map(pair).collect()
}

fn set_window(form: &mut BudgetForm, text: &str) -> Result<(), Failure> {
    if ["hour", "day", "week", "month", "total"].contains(&text) {
        text.clone_into(&mut form.window);
        return Ok(());
    }
    let span = SPANS.iter().find_map(|(end, minutes)| {
        let count: u32 = text.strip_suffix(*end)?.parse().ok()?;
        count.checked_mul(*minutes)
    });
    let minutes = span.ok_or_else(|| {
        Failure::usage(format!(
            "{text:?} is no window: write hour, day, week, month, total, or the last 90m, 24h, 7d"
        ))
    })?;
    "rolling".clone_into(&mut form.window);
    form.minutes = Some(minutes);
    Ok(())
}

fn set_limit(form: &mut BudgetForm, text: &str) -> Result<(), Failure> {
    let wrong = || {
        Failure::usage(format!(
            "{text:?} is no amount: write dollars such as 200 or 0.50, \"5M tokens\" or \"1000 calls\""
        ))
    };
    let plain = text.trim().trim_start_matches('$').to_ascii_lowercase();
    let end = plain.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(plain.len());
    let (digits, unit) = plain.split_at(end);
    let digits = digits.replace('_', "");
    let unit = unit.trim();
    let counted = |names: [&str; 2]| {
        let short = names.iter().find_map(|name| unit.strip_suffix(name))?;
        count(&digits, short.trim())
    };
    match unit {
        "" | "usd" if digits.parse::<Money>().is_ok() => form.limit_usd = Some(digits),
        _ if unit.contains("token") => {
            form.limit_tokens = Some(counted(["tokens", "token"]).ok_or_else(wrong)?);
        }
        _ if unit.contains("call") => {
            form.limit_calls = Some(counted(["calls", "call"]).ok_or_else(wrong)?);
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

/// `1.5` and `m` are 1,500,000; what is no whole number is none.
fn count(digits: &str, short: &str) -> Option<u64> {
    let mut chars = short.chars();
    let times = match (chars.next(), chars.next()) {
        (None, _) => 1,
        (Some(c), None) => SHORT.iter().find(|(end, _)| *end == c)?.1,
        _ => return None,
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let scaled = format!("{whole}{part}").parse::<u128>().ok()?.checked_mul(times)?;
    (scaled % scale == 0).then(|| u64::try_from(scaled / scale).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(scope: &str, amount: &str) -> Result<BudgetForm, Failure> {
        form(&BudgetSetArgs { scope: scope.into(), amount: amount.into(), ..BudgetSetArgs::default() })
    }

    #[test]
    fn amounts_and_windows_are_read_exactly() {
        // Amount; dollars, tokens, calls; window, minutes.
        let cases = [
            ("200/month", Some("200"), None, None, "month", None),
            ("$0.50/day", Some("0.50"), None, None, "day", None),
            ("1_000 usd/total", Some("1000"), None, None, "total", None),
            ("5M tokens/day", None, Some(5_000_000), None, "day", None),
            ("1.5k tokens / hour", None, Some(1_500), None, "hour", None),
            ("1000 calls/24h", None, None, Some(1_000), "rolling", Some(1_440)),
            ("1 call/90m", None, None, Some(1), "rolling", Some(90)),
            ("2b tokens/7d", None, Some(2_000_000_000), None, "rolling", Some(10_080)),
        ];
        for (amount, usd, tokens, calls, window, minutes) in cases {
            let form = read("all", amount).unwrap();
            assert_eq!(
                (form.limit_usd.as_deref(), form.limit_tokens, form.limit_calls),
                (usd, tokens, calls)
            );
            assert_eq!((form.window.as_str(), form.minutes), (window, minutes), "{amount}");
        }
        for amount in [
            "200",
            "/month",
            "x/month",
            "200/year",
            "200/0",
            "200/4294967295d",
            "5M/day",
            "1.0005k tokens/day",
            "-1/day",
            "200 eur/day",
            "5 m m tokens/day",
            "99999999999999999999 calls/day",
            "1e3/day",
        ] {
            assert!(read("all", amount).is_err(), "{amount}");
        }
    }

    #[test]
    fn a_raise_is_in_the_unit_of_the_limit() {
        let tokens = serde_json::json!({"limit_tokens": 5});
        let usd = serde_json::json!({"limit_usd": "5"});
        for (text, budget, by) in [
            ("500", &tokens, Some("500")),
            ("1k tokens", &tokens, Some("1000")),
            ("$5", &tokens, None),
            ("5 calls", &tokens, None),
            ("$5.50", &usd, Some("5.50")),
            ("5k tokens", &usd, None),
        ] {
            assert_eq!(raise(text, budget).ok().as_deref(), by, "{text}");
        }
    }

    #[test]
    fn scopes_are_all_or_pairs() {
        assert!(read("all", "1/day").unwrap().matches.is_empty());
        let form = read("tag.team=ops, model=gpt-4o", "1/day").unwrap();
        assert_eq!((form.matches["tag.team"].as_str(), form.matches["model"].as_str()), ("ops", "gpt-4o"));
        assert_eq!(form.name, "tag.team=ops, model=gpt-4o per day");
        for scope in ["team", "user=a,user=b", ""] {
            assert!(read(scope, "1/day").is_err(), "{scope}");
        }
    }

    #[test]
    fn the_model_to_go_down_from_is_named_somewhere() {
        let set = |scope: &str, to: &str| {
            let args = BudgetSetArgs {
                scope: scope.into(),
                amount: "1/day".into(),
                downgrade: vec![to.into()],
                ..BudgetSetArgs::default()
            };
            form(&args).map(|form| (form.at_limit.unwrap(), form.downgrade))
        };
        let wanted = ("downgrade".to_owned(), BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        assert_eq!(set("model=a", "b").unwrap(), wanted);
        assert_eq!(set("all", "a=b").unwrap(), wanted);
        assert!(set("all", "b").is_err());
    }
}
