//! Rules as scripts: what is seen, minute by minute, and what is told for it.

use super::*;

/// A step of a script: at a minute of 2026-11-22 from 10:00 on, in UTC.
#[derive(Clone)]
enum Step {
    /// So many calls, of `provider/model operation`, with so many tokens each.
    Calls(u32, &'static str, u64),
    /// So many calls to a provider that fail.
    Fail(u32, &'static str),
    /// A call to a model without a price.
    Unpriced(&'static str),
    /// A call with what our book and its provider say, in millionths of a dollar.
    Billed(i128, i128),
    /// A call of so many days ago that fails, or has no price, or is long.
    Old(i64),
    /// Whether the store fails, and how many calls passed unrecorded.
    Fault(bool, u64),
}
use Step::*;

fn form(kind: &str) -> RuleForm {
    RuleForm { kind: kind.to_owned(), ..RuleForm::default() }
}

fn seen(at: Timestamp) -> Seen<'static> {
    Seen {
        at,
        provider: "openai",
        model: "m",
        operation: Some("chat"),
        has_failed: false,
        is_unpriced: false,
        tokens: None,
        book: None,
        billed: None,
    }
}

fn take(rules: &mut Rules, step: &Step, now: Timestamp) {
    let day = 86_400;
    let back = |days: i64| Timestamp::from_second(now.as_second() - days * day).unwrap();
    let calls: Vec<Seen<'static>> = match *step {
        Calls(many, operation, tokens) => {
            let call = Seen { operation: Some(operation), tokens: Some(tokens), ..seen(now) };
            vec![call; many as usize]
        }
        Fail(many, provider) => vec![Seen { provider, has_failed: true, ..seen(now) }; many as usize],
        Unpriced(model) => vec![Seen { model, is_unpriced: true, ..seen(now) }],
        Billed(book, billed) => {
            let money = |micros: i128| Some(Money::from_picos(micros * 1_000_000));
            vec![Seen { book: money(book), billed: money(billed), ..seen(now) }]
        }
        Old(days) => {
            let old = Seen { has_failed: true, tokens: Some(1_000_000), ..seen(back(days)) };
            vec![old; 30]
        }
        Fault(..) => Vec::new(),
    };
    calls.iter().for_each(|call| rules.see(call, now));
}

fn run(forms: &[RuleForm], script: &[(i64, Step)]) -> Vec<(i64, Finding)> {
    play(Rules::new(RuleForm::rules(forms), Zone::UTC), script)
}

fn play(mut rules: Rules, script: &[(i64, Step)]) -> Vec<(i64, Finding)> {
    let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let (mut found, mut books) = (Vec::new(), Books::default());
    for (minute, step) in script {
        let now = Timestamp::from_second(start.as_second() + minute * 60).unwrap();
        take(&mut rules, step, now);
        if let Fault(store, unrecorded_calls) = *step {
            let store_fault = store.then(|| "disk full".to_owned());
            books = Books { store_fault, unrecorded_calls, has_clock_stepped: false };
        }
        rules.tick(&books, now);
        found.extend(rules.take().into_iter().map(|finding| (*minute, finding)));
    }
    found
}

/// What a script tells: minute, kind, value, whether it holds.
fn check(forms: &[RuleForm], script: &[(i64, Step)], told: &[(i64, &str, &str, bool)]) {
    tells(&run(forms, script), told);
}

fn tells(found: &[(i64, Finding)], told: &[(i64, &str, &str, bool)]) {
    let found: Vec<(i64, &str, &str, bool)> = found
        .iter()
        .map(|(minute, found)| (*minute, found.kind.name(), found.value.as_str(), found.turn == Turn::Firing))
        .collect();
    assert_eq!(found, told);
}

#[test]
fn failures_are_told_once_an_hour_and_taken_back() {
    let failure = |minute, is_firing| (minute, "failure_rate", "openai", is_firing);
    // Too few to tell anything; a fifth of twenty; told no second time; below three quarters again.
    check(&[], &[(0, Fail(19, "openai"))], &[]);
    check(&[], &[(0, Calls(17, "a", 1)), (1, Fail(3, "openai"))], &[]);
    check(
        &[],
        &[
            (0, Calls(16, "a", 1)),
            (1, Fail(4, "openai")),
            (2, Fail(4, "openai")),
            (3, Calls(20, "a", 1)),
            (4, Calls(40, "a", 1)),
        ],
        &[failure(1, true), failure(4, false)],
    );
    // It passes with its minutes; in the same hour it is not told again, in the next one it is.
    check(
        &[],
        &[
            (0, Fail(20, "openai")),
            (14, Calls(0, "a", 1)),
            (15, Calls(0, "a", 1)),
            (20, Fail(20, "openai")),
            (61, Fail(20, "openai")),
        ],
        &[failure(0, true), failure(15, false), failure(61, true)],
    );
    // While it lasts it is told no second time, of each provider by itself, and never of history.
    check(
        &[],
        &[
            (58, Fail(20, "openai")),
            (59, Fail(20, "groq")),
            (60, Fail(20, "openai")),
            (61, Old(1)),
            (90, Calls(0, "a", 1)),
        ],
        &[
            failure(58, true),
            (59, "failure_rate", "groq", true),
            (90, "failure_rate", "groq", false),
            failure(90, false),
        ],
    );
    let strict = RuleForm { percent: Some(50), calls: Some(2), minutes: Some(1), ..form("failure_rate") };
    check(
        std::slice::from_ref(&strict),
        &[(0, Calls(1, "a", 1)), (0, Fail(1, "openai")), (1, Calls(0, "a", 1))],
        &[failure(0, true), failure(1, false)],
    );
    let off = RuleForm { enabled: Some(false), ..strict };
    check(&[off], &[(0, Fail(100, "openai"))], &[]);
}

#[test]
fn a_model_without_a_price_is_told_once_a_day() {
    let unpriced = |minute, value| (minute, "unpriced_model", value, true);
    check(
        &[],
        &[
            (0, Unpriced("x")),
            (1, Unpriced("x")),
            (2, Unpriced("y")),
            (14 * 60 - 1, Unpriced("x")),
            (14 * 60, Unpriced("x")),
        ],
        &[unpriced(0, "openai/x"), unpriced(2, "openai/y"), unpriced(14 * 60, "openai/x")],
    );
}

#[test]
fn made_up_models_do_not_flood_people() {
    let mut rules = Rules::new(RuleForm::rules(&[]), Zone::UTC);
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    for number in 0..5_000 {
        let model = format!("made-up-{number}");
        rules.see(&Seen { model: &model, is_unpriced: true, ..seen(now) }, now);
    }
    assert_eq!(rules.take().len(), told::VALUES_MAX);
    let books = Books { has_clock_stepped: true, ..Books::default() };
    rules.tick(&books, now);
    assert_eq!(rules.take().len(), 1, "other rules have their own room");
}

#[test]
fn a_call_is_long_by_what_is_usual_for_its_operation() {
    let long = |minute, value| (minute, "long_call", value, true);
    let ten = |tokens| (0, Calls(10, "rag", tokens));
    check(&[], &[(0, Calls(9, "rag", 100)), (1, Calls(1, "rag", 10_000))], &[]);
    check(&[], &[ten(100), (1, Calls(1, "rag", 500))], &[]);
    check(&[], &[ten(100), (1, Calls(2, "rag", 501))], &[long(1, "rag, openai/m")]);
    check(&[], &[ten(100), (1, Calls(1, "other", 10_000))], &[]);
    // Nothing is nothing to compare with, and what is imported wakes nobody.
    check(&[], &[ten(0), (1, Calls(1, "rag", 10_000))], &[]);
    let quiet = RuleForm { enabled: Some(false), ..form("failure_rate") };
    check(&[quiet], &[(0, Calls(10, "chat", 100)), (1, Old(2))], &[]);
    let found = run(&[], &[ten(100), (1, Calls(1, "rag", 501))]);
    let (_, found) = &found[0];
    assert_eq!((found.measured.as_str(), found.limit.as_str(), found.unit), ("501", "500", "tokens"));
}

#[test]
fn a_provider_that_bills_otherwise_is_told_of() {
    let drift = |minute, is_firing| (minute, "price_drift", "openai/m", is_firing);
    let bills = |minute, book, billed| vec![(minute, Billed(book, billed)); 10];
    check(&[], &bills(0, 1_000, 1_000), &[]);
    check(&[], &bills(0, 1_000, 1_010), &[]);
    check(&[], &bills(0, 1_000, 1_011), &[drift(0, true)]);
    check(&[], &bills(0, 1_000, 989), &[drift(0, true)]);
    check(&[], &bills(0, 1_000, 2_000)[..9], &[]);
    check(&[], &bills(0, 0, 1), &[drift(0, true)]);
    check(&[], &bills(0, 0, 0), &[]);
    // Taken back below three quarters of the limit; a new day begins with nothing.
    let script = [bills(0, 1_000, 1_020), bills(1, 1_000, 1_000), bills(2, 1_000, 1_000)].concat();
    check(&[], &script, &[drift(0, true), drift(2, false)]);
    let script = [bills(0, 1_000, 1_020), bills(14 * 60, 1_000, 1_020)].concat();
    check(&[], &script, &[drift(0, true), drift(14 * 60, true)]);
    let found = run(&[], &bills(0, 1_000, 1_020));
    let (_, found) = &found[0];
    assert_eq!((found.measured.as_str(), found.limit.as_str(), found.unit), ("2.0", "1", "percent"));
}

#[test]
fn faults_of_the_books_are_told_once_while_they_last() {
    let fault = |minute, name, is_firing| (minute, "ledger_fault", name, is_firing);
    check(
        &[],
        &[
            (0, Fault(false, 0)),
            (1, Fault(true, 0)),
            (2, Fault(true, 5)),
            (3, Fault(false, 5)),
            // Again within the hour, and still in the next one.
            (4, Fault(true, 5)),
            (60, Fault(true, 6)),
            // Days later it has not ended.
            (5_000, Fault(true, 6)),
            (5_001, Fault(false, 6)),
        ],
        &[
            fault(1, "store", true),
            fault(2, "gap", true),
            fault(3, "store", false),
            fault(60, "store", true),
            fault(5_000, "gap", false),
            fault(5_001, "store", false),
        ],
    );
}

#[test]
fn what_was_told_before_the_start_is_neither_told_again_nor_taken_back_at_once() {
    let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let after = |kind, value: &str, holds| {
        let mut rules = Rules::new(RuleForm::rules(&[]), Zone::UTC);
        rules.remember(vec![Known { kind, value: value.to_owned(), period: start, holds }], start);
        rules
    };
    let failure = |minute, is_firing| (minute, "failure_rate", "openai", is_firing);
    let outage = || after(RuleKind::FailureRate, "openai", true);
    tells(&play(outage(), &[(0, Fail(20, "openai")), (14, Fail(20, "openai"))]), &[]);
    let ends = [(0, Calls(1, "a", 1)), (14, Calls(0, "a", 1)), (15, Calls(0, "a", 1))];
    tells(&play(outage(), &ends), &[failure(15, false)]);
    // Over in this hour: told again in the next one.
    let over = after(RuleKind::FailureRate, "openai", false);
    let again = [(1, Fail(20, "openai")), (59, Fail(20, "openai")), (60, Fail(20, "openai"))];
    tells(&play(over, &again), &[failure(60, true)]);
    let well = play(after(RuleKind::LedgerFault, "store", true), &[(0, Fault(false, 0))]);
    tells(&well, &[(0, "ledger_fault", "store", false)]);
    let still = play(after(RuleKind::LedgerFault, "store", true), &[(0, Fault(true, 0))]);
    tells(&still, &[]);
}

#[test]
fn an_unusual_hour_is_told_once_for_each_of_whom_it_is() {
    let hour = |at: &str, scope: &str| UnusualHour {
        at: at.parse().unwrap(),
        scope: scope.to_owned(),
        measured: "48.2".to_owned(),
        expected: "0.1".to_owned(),
        limit: "3".to_owned(),
        unit: "usd",
    };
    let mut rules = Rules::new(RuleForm::rules(&[]), Zone::UTC);
    let mut told = |at: &str, scope: &str| {
        rules.unusual(&hour(at, scope));
        rules.take().into_iter().map(|finding| finding.summary).next()
    };
    assert_eq!(
        told("2026-11-22T03:10:00Z", "all").as_deref(),
        Some("All calls: 48.2 USD within the hour, where about 0.1 is usual and more than 3 is not")
    );
    assert_eq!(told("2026-11-22T03:59:59Z", "all"), None);
    assert!(told("2026-11-22T03:59:59Z", "user=ann").unwrap().starts_with("user=ann: "));
    assert!(told("2026-11-22T04:00:00Z", "all").is_some());
    let off = RuleForm { enabled: Some(false), ..form("unusual_usage") };
    let mut rules = Rules::new(RuleForm::rules(&[off]), Zone::UTC);
    rules.unusual(&hour("2026-11-22T03:10:00Z", "all"));
    assert_eq!(rules.take(), []);
}

#[test]
fn a_rule_says_everything_that_is_wrong_with_it() {
    let check = |form: RuleForm, members: &[&str]| {
        let faults = form.read().map(drop).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.member).collect::<Vec<_>>(), members, "{faults:?}");
    };
    check(form("nonsense"), &["kind"]);
    check(RuleForm { percent: Some(0), minutes: Some(0), ..form("failure_rate") }, &["percent", "minutes"]);
    check(RuleForm { percent: Some(1), times: Some(2), ..form("unpriced_model") }, &["percent", "times"]);
    check(RuleForm { times: Some(1), ..form("long_call") }, &["times"]);
    check(RuleForm { notify: vec![String::new(); 17], ..form("ledger_fault") }, &["notify"]);
    let by = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    check(RuleForm { by: by(&["user"]), ..form("long_call") }, &["by"]);
    check(RuleForm { by: by(&["person"]), times: Some(1), ..form("unusual_usage") }, &["times", "by"]);
    check(RuleForm { by: by(&["user", "agent", "model", "key"]), ..form("unusual_usage") }, &["by"]);
    assert_eq!(RuleForm::rules(&[]).len(), RULE_KINDS.len());
}
