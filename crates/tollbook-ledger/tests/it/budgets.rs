//! Budgets follow the books: what is spent is what is recorded, whatever way it came there.

use crate::rig::{Rig, event, sign, with};
use std::sync::Arc;
use tollbook_budget::{BudgetForm, Reason, Refused};
use tollbook_ledger::budgets::{Asked, BudgetError, Defined, Let};
use tollbook_ledger::{Act, By, Ledger, Outcome, Settlement};
use tollbook_store::Zone;
use tollbook_types::{Attribution, Clock, Conditions, DEMO_SOURCE, Event, Evidence, Money, OpenCall};

fn utc() -> (String, Zone) {
    ("UTC".to_owned(), Zone::UTC)
}

fn form(members: &str) -> BudgetForm {
    serde_json::from_str(&format!("{{\"name\":\"b\",{members}}}")).unwrap()
}

fn create(ledger: &Ledger, members: &str) -> Arc<Defined> {
    ledger.create_budget(&By::local(), form(members), &utc()).unwrap()
}

const STRICT: &str = r#""limit_usd":"1.00","window":"total","mode":"strict""#;

/// `spent/held/unsettled`, of the only account.
fn stands(ledger: &Ledger, id: &str) -> String {
    let standing = &ledger.standings(id)[0];
    let text = |picos| Money::from_picos(picos).to_string();
    let sums = standing.sums;
    format!("{}/{}/{}", text(sums.spent), text(sums.held), text(sums.unsettled))
}

fn ann() -> Attribution {
    Attribution { user: Some("ann".to_owned()), ..Attribution::default() }
}

/// Asks for a call of up to so many tokens out; gpt-x costs $2 for a million.
fn ask(rig: &Rig, ledger: &Ledger, id: &str, output_tokens: u64) -> Result<Let, Refused> {
    ledger.admit(&Asked {
        id,
        at: rig.clock.now(),
        provider: "openai",
        model: Some("gpt-x"),
        who: &ann(),
        conditions: &Conditions::default(),
        input_tokens: Some(0),
        output_tokens: Some(output_tokens),
        is_bounded: true,
        expires_at: None,
        instead_of: None,
        text: &[],
    })
}

/// An event of the gateway, for a call with this id.
fn gateway_event(rig: &Rig, id: &str, output: u64) -> Event {
    let mut event = event(id, 0, output);
    (event.source, event.attribution) = ("gateway".to_owned(), ann());
    event.request_model = Some("gpt-x".to_owned());
    event.occurred_at = rig.clock.now();
    sign(&mut event);
    event
}

#[test]
fn a_hold_becomes_what_the_entry_says() {
    let rig = Rig::new();
    let ledger = rig.open();
    let budget = create(&ledger, STRICT);
    let granted = ask(&rig, &ledger, "c1", 400_000).unwrap();
    assert_eq!(granted.worst_case.unwrap().to_string(), "0.8");
    assert_eq!(stands(&ledger, &budget.id), "0/0.8/0");
    let Err(Refused::Budget(denied)) = ask(&rig, &ledger, "c2", 400_000) else { panic!("it is let go") };
    assert_eq!((denied.reason, denied.needed), (Reason::Spent, Some(800_000_000_000)));
    ledger.record(gateway_event(&rig, "c1", 100_000)).unwrap();
    ledger.flush().unwrap();
    assert_eq!(stands(&ledger, &budget.id), "0.2/0/0");
    assert!(ask(&rig, &ledger, "c2", 400_000).is_ok());
    assert!(ledger.release_hold("c2") && ledger.holds() == 0);
}

#[test]
fn a_bill_above_its_hold_counts_in_full_and_is_flagged() {
    for (mode, output, flagged) in
        [("strict", 400_001, true), ("strict", 400_000, false), ("expected", 900_000, false)]
    {
        let rig = Rig::new();
        let ledger = rig.open();
        let budget = create(&ledger, &format!(r#""limit_usd":"1.00","window":"total","mode":"{mode}""#));
        ask(&rig, &ledger, "c1", 400_000).unwrap();
        ledger.record(gateway_event(&rig, "c1", output)).unwrap();
        ledger.flush().unwrap();
        let call = ledger.store().calls_by_id("c1").unwrap().remove(0);
        let expected: &[&str] = if flagged { &["hold_exceeded: 0.8 USD were held"] } else { &[] };
        assert_eq!(call.entry.event.flags, expected, "{mode} {output}");
        assert_eq!(stands(&ledger, &budget.id), format!("{}/0/0", call.entry.rating.cost.unwrap()));
    }
}

#[test]
fn everything_that_is_told_counts_once() {
    let rig = Rig::new();
    let ledger = rig.open();
    let budget = create(&ledger, STRICT);
    let events = vec![event("e1", 0, 50_000), event("e1", 0, 50_000), event("e2", 0, 25_000)];
    ledger.submit(events).unwrap();
    assert_eq!(stands(&ledger, &budget.id), "0.15/0/0");
    ledger.submit(vec![event("e1", 0, 50_000)]).unwrap();
    assert_eq!(stands(&ledger, &budget.id), "0.15/0/0");
}

#[test]
fn an_unknown_outcome_is_unsettled_until_it_is_settled_also_over_a_restart() {
    let rig = Rig::new();
    let budget = {
        let ledger = rig.open();
        let budget = create(&ledger, STRICT);
        let granted = ask(&rig, &ledger, "c1", 400_000).unwrap();
        let call = OpenCall {
            id: "c1".to_owned(),
            source: "gateway".to_owned(),
            occurred_at: rig.clock.now(),
            provider: "openai".to_owned(),
            model: "gpt-x".to_owned(),
            attribution: ann(),
            hold: granted.admitted.held,
            worst_case: granted.worst_case,
        };
        ledger.open_call(call).unwrap();
        ledger.flush().unwrap();
        budget
        // The process ends before the call does.
    };
    let ledger = rig.open();
    ledger.load_budgets(&utc()).unwrap();
    assert_eq!(stands(&ledger, &budget.id), "0/0/0.8");
    assert!(ask(&rig, &ledger, "c2", 400_000).is_err());
    let entry = ledger.store().calls_by_id("c1").unwrap()[0].seq;
    ledger.settle(entry, &Settlement::Cost("0.3".parse().unwrap()), "the provider's page").unwrap();
    assert_eq!(stands(&ledger, &budget.id), "0.3/0/0");
    drop(ledger);
    let ledger = rig.open();
    ledger.load_budgets(&utc()).unwrap();
    assert_eq!(stands(&ledger, &budget.id), "0.3/0/0");
}

#[test]
fn a_better_report_of_the_same_call_replaces_what_it_counted() {
    let rig = Rig::new();
    let ledger = rig.open();
    let budget = create(&ledger, STRICT);
    let mut first = event("a", 0, 10_000);
    (first.evidence, first.provider_response_id) = (Evidence::Estimated, Some("r1".to_owned()));
    sign(&mut first);
    let mut better = event("b", 0, 40_000);
    (better.source, better.provider_response_id) = ("otlp".to_owned(), Some("r1".to_owned()));
    sign(&mut better);
    let outcomes = ledger.submit(vec![first]).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Accepted { .. }]));
    assert_eq!(stands(&ledger, &budget.id), "0.02/0/0");
    ledger.submit(vec![better]).unwrap();
    assert_eq!(stands(&ledger, &budget.id), "0.08/0/0");
}

#[test]
fn a_budget_counts_what_was_before_it_by_every_kind_of_window_and_scope() {
    let rig = Rig::new();
    let ledger = rig.open();
    let mut one = gateway_event(&rig, "e1", 50_000);
    one.model = "gpt-x-2026-08-01".to_owned();
    sign(&mut one);
    let two = gateway_event(&rig, "e2", 100_000);
    ledger.submit(vec![one, two]).unwrap();
    // The dated name has no price in this book but that of the name that was asked for.
    for (members, wanted) in [
        (r#""limit_usd":"1","window":"total""#, "0.3"),
        (r#""limit_usd":"1","window":"hour""#, "0.3"),
        (r#""limit_usd":"1","window":"month","reset_day":31"#, "0.3"),
        (r#""limit_usd":"1","window":"rolling","minutes":90"#, "0.3"),
        (r#""limit_usd":"1","window":"rolling","minutes":1440"#, "0.3"),
        (r#""match":{"user":"ann"},"each":"user","limit_usd":"1","window":"day""#, "0.3"),
        (r#""match":{"model":"gpt-x"},"limit_usd":"1","window":"day""#, "0.3"),
        (r#""match":{"model":"gpt-x-2026-08-01"},"limit_usd":"1","window":"day""#, "0.1"),
        (r#""each":"model","limit_usd":"1","window":"day""#, "0.3"),
        (r#""match":{"user":"bob"},"limit_usd":"1","window":"day""#, "0"),
        (r#""limit_tokens":1000000,"window":"day""#, "0.00000015"),
        (r#""limit_calls":10,"window":"day""#, "0.000000000002"),
    ] {
        let budget = create(&ledger, members);
        let found = ledger.standings(&budget.id);
        let spent: i128 = found.iter().map(|standing| standing.sums.spent).sum();
        assert_eq!(Money::from_picos(spent).to_string(), wanted, "{members}");
    }
}

#[test]
fn budgets_are_documents_with_versions() {
    let rig = Rig::new();
    let ledger = rig.open();
    let made = create(&ledger, STRICT);
    let raise = |form: &mut BudgetForm| form.limit_usd = Some("2.00".to_owned());
    let changed = ledger
        .change_budget(&By::local(), Act::new("budget.change"), &made.id, Some(made.version), &utc(), raise)
        .unwrap()
        .unwrap();
    assert_eq!((changed.version, changed.budget.limit.amount()), (2, 2_000_000_000_000));
    let stale = ledger.change_budget(
        &By::local(),
        Act::new("budget.change"),
        &made.id,
        Some(made.version),
        &utc(),
        raise,
    );
    assert!(matches!(stale, Err(BudgetError::Stale)));
    assert!(
        ledger
            .change_budget(&By::local(), Act::new("budget.change"), "bud_none", None, &utc(), raise)
            .unwrap()
            .is_none()
    );
    ledger.configure_budget(form(r#""limit_calls":1,"window":"day""#), &utc()).unwrap();
    let configured = ledger.remove_budget(&By::local(), "config:b", None);
    assert!(matches!(configured, Err(BudgetError::Configured)));
    assert!(
        ledger.remove_budget(&By::local(), &made.id, None).unwrap()
            && !ledger.remove_budget(&By::local(), &made.id, None).unwrap()
    );
    let wrong = ledger.create_budget(&By::local(), form(r#""limit_calls":1,"window":"never""#), &utc());
    assert!(matches!(wrong, Err(BudgetError::Faults(faults)) if faults[0].member == "window"));
    drop(ledger);
    let ledger = rig.open();
    ledger.load_budgets(&utc()).unwrap();
    assert_eq!(ledger.budgets().len(), 0);
}

/// Threads ask, record and correct at once; a budget is made in the middle. At the end every budget
/// says what the store sums.
#[test]
fn under_load_budgets_and_books_agree() {
    let rig = Rig::new();
    let ledger = rig.open();
    let strict = create(&ledger, r#""limit_usd":"3","window":"total","mode":"strict""#);
    let loose = create(&ledger, r#""limit_usd":"1000","window":"total","each":"user""#);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (rig, ledger, strict) = (&rig, &ledger, &strict);
            scope.spawn(move || {
                for n in 0..150_u64 {
                    let id = format!("t{thread}-{n}");
                    if ask(rig, ledger, &id, 20_000).is_err() {
                        continue;
                    }
                    let used = ledger.standings(&strict.id)[0].sums.used();
                    assert!(used <= 3_000_000_000_000, "{used}");
                    match n % 5 {
                        0 => drop(ledger.release_hold(&id)),
                        1 => drop(ledger.submit(vec![gateway_event(rig, &id, n * 50)]).unwrap()),
                        _ => drop(ledger.record(gateway_event(rig, &id, n * 100)).unwrap()),
                    }
                }
            });
        }
        let late = scope.spawn(|| create(&ledger, r#""limit_calls":100000,"window":"total""#));
        late.join().unwrap();
    });
    ledger.flush().unwrap();
    let calls = ledger.store().extent(tollbook_types::TimeRange::ALL).unwrap().unwrap().2;
    let mut spent: Vec<i128> =
        ledger.budgets().iter().map(|b| ledger.standings(&b.id)[0].sums.spent).collect();
    spent.sort_unstable();
    let of = |id: &str| ledger.standings(id)[0].sums.spent;
    assert_eq!(of(&strict.id), of(&loose.id));
    assert_eq!(spent[0], i128::from(calls), "the budget that was made in the middle counts each call once");
    assert_eq!(ledger.holds(), 0);
    assert_eq!(rig.verify(), [""; 0]);
}

#[test]
fn a_demo_spends_of_no_budget() {
    let rig = Rig::new();
    let ledger = rig.open();
    let followed = create(&ledger, STRICT);
    let demo = with(gateway_event(&rig, "d1", 100_000), |event| {
        (event.source, event.provider_response_id) = (DEMO_SOURCE.to_owned(), None);
    });
    ledger.submit(vec![gateway_event(&rig, "e1", 50_000)]).unwrap();
    assert_eq!(ledger.add_demo(&By::local(), |_| Ok(vec![demo])).unwrap(), 1);
    assert_eq!(stands(&ledger, &followed.id), "0.1/0/0");
    // One that begins to count while the demo is there, by sums and by calls.
    for window in [r#""window":"total""#, r#""window":"rolling","minutes":90"#, r#""window":"day""#] {
        let counted = create(&ledger, &format!(r#""limit_usd":"1","match":{{"user":"ann"}},{window}"#));
        assert_eq!(stands(&ledger, &counted.id), "0.1/0/0", "{window}");
    }
    ledger.remove_demo(&By::local()).unwrap();
    assert_eq!(stands(&ledger, &followed.id), "0.1/0/0");
}
