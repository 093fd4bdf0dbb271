//! Alerts are durable before anybody is told, and are told once, whatever happens in between.

use crate::rig::{Rig, event, sign};
use tollbook_budget::rules::{Finding, RuleKind};
use tollbook_budget::{BudgetForm, Turn};
use tollbook_ledger::alerts::{
    Alert, AlertState, Attempt, Every, Progress, Summary, Top, TopRow, Used, recorded_alerts,
};
use tollbook_ledger::{By, ErasureOrder, Ledger};
use tollbook_store::Zone;
use tollbook_types::Clock;

const HOUR: i64 = 3_600;

fn utc() -> (String, Zone) {
    ("UTC".to_owned(), Zone::UTC)
}

fn create(ledger: &Ledger, members: &str) -> String {
    let form = format!(r#"{{"name":"b","at_limit":"warn","notify":["ops"],{members}}}"#);
    let form: BudgetForm = serde_json::from_str(&form).unwrap();
    ledger.create_budget(&By::local(), form, &utc()).unwrap().id.clone()
}

/// A call now, of so many cents.
fn spend(rig: &Rig, ledger: &Ledger, id: &str, cents: u64) {
    let mut event = event(id, 0, cents * 5_000);
    event.occurred_at = rig.clock.now();
    sign(&mut event);
    ledger.submit(vec![event]).unwrap();
}

fn open(rig: &Rig) -> Ledger {
    let ledger = rig.open();
    ledger.load_budgets(&utc()).unwrap();
    ledger
}

/// `THRESHOLD state messages…` of every alert, oldest first.
fn told(ledger: &Ledger) -> Vec<String> {
    let mut alerts: Vec<_> = ledger.alerts();
    alerts.sort_by_key(|alert| (alert.at, alert.key.threshold.parse::<u32>().unwrap()));
    let of = |alert: &Alert| {
        let messages = alert.deliveries.iter().map(|delivery| {
            let progress = match delivery.progress {
                Progress::Pending => "pending",
                Progress::Delivered => "delivered",
                Progress::Failed => "failed",
            };
            format!(" {}:{progress}", delivery.tells.name())
        });
        format!("{} {}{}", alert.key.threshold, alert.state.name(), messages.collect::<String>())
    };
    alerts.iter().map(|alert| of(alert)).collect()
}

fn deliver_all(ledger: &Ledger) -> usize {
    let due = ledger.due_alerts();
    for due in &due {
        ledger.note_delivery(&due.alert.id, due.place, Attempt::Taken).unwrap();
    }
    due.len()
}

#[test]
fn a_threshold_becomes_one_alert_in_a_window_over_restarts_too() {
    let rig = Rig::new();
    let id = {
        let ledger = rig.open();
        create(&ledger, r#""limit_usd":"1.00","window":"day","warn_at":[50,100]"#);
        spend(&rig, &ledger, "e1", 60);
        assert_eq!(ledger.alert_on_budgets().unwrap().len(), 1);
        assert_eq!(ledger.alert_on_budgets().unwrap(), []);
        assert_eq!(told(&ledger), ["50 firing firing:pending"]);
        let alert = &ledger.alerts()[0];
        let seen = (alert.subject.as_str(), alert.value.as_str(), alert.limit.as_str(), alert.unit.as_str());
        assert_eq!(seen, ("b", "0.6", "1", "usd"));
        assert_eq!(alert.summary, "Budget b: 0.6 of 1 USD used, 50 % reached");
        alert.id.clone()
        // The process ends before anybody is told.
    };
    let ledger = open(&rig);
    assert_eq!(ledger.alert_on_budgets().unwrap(), [], "it is known");
    let due = ledger.due_alerts();
    assert_eq!((due.len(), due[0].alert.id.as_str()), (1, id.as_str()));
    assert_eq!(deliver_all(&ledger), 1);
    drop(ledger);
    let ledger = open(&rig);
    assert!(ledger.due_alerts().is_empty(), "it went out");
    spend(&rig, &ledger, "e2", 50);
    ledger.alert_on_budgets().unwrap();
    assert_eq!(told(&ledger), ["50 firing firing:delivered", "100 firing firing:pending"]);
    deliver_all(&ledger);
    // The next day begins; nobody is told that the last one ended.
    rig.clock.advance_seconds(24 * HOUR);
    assert_eq!(ledger.alert_on_budgets().unwrap().len() + ledger.age_alerts().unwrap().len(), 2);
    assert_eq!(told(&ledger), ["50 resolved firing:delivered", "100 resolved firing:delivered"]);
    spend(&rig, &ledger, "e3", 50);
    assert_eq!(ledger.alert_on_budgets().unwrap().len(), 1, "another window, another alert");
    assert_eq!(recorded_alerts(ledger.store().as_ref()).unwrap().len(), 3);
}

#[test]
fn a_crossing_that_nobody_looked_at_before_the_end_is_found_at_the_start() {
    let rig = Rig::new();
    {
        let ledger = rig.open();
        create(&ledger, r#""limit_usd":"1.00","window":"month","warn_at":[50]"#);
        spend(&rig, &ledger, "e1", 60);
        // Killed here: the call is in the books, the alert is not.
    }
    for looks in [1, 0] {
        let ledger = open(&rig);
        assert_eq!(ledger.alert_on_budgets().unwrap().len(), looks);
        assert_eq!(told(&ledger), ["50 firing firing:pending"]);
    }
}

#[test]
fn an_alert_ends_when_its_threshold_holds_no_more_and_that_is_told_after_the_beginning() {
    let rig = Rig::new();
    let ledger = rig.open();
    let id = create(&ledger, r#""limit_usd":"1.00","window":"month","warn_at":[50]"#);
    spend(&rig, &ledger, "e1", 60);
    ledger.alert_on_budgets().unwrap();
    let raise = |form: &mut BudgetForm| form.limit_usd = Some("10.00".to_owned());
    let act = tollbook_ledger::Act::new("budget.change");
    ledger.change_budget(&By::local(), act, &id, None, &utc(), raise).unwrap();
    assert_eq!(ledger.alert_on_budgets().unwrap()[0].state, AlertState::Resolved);
    assert_eq!(told(&ledger), ["50 resolved firing:pending resolved:pending"]);
    // One channel hears of it in order.
    assert_eq!(deliver_all(&ledger), 1);
    assert_eq!(told(&ledger), ["50 resolved firing:delivered resolved:pending"]);
    assert_eq!((deliver_all(&ledger), deliver_all(&ledger)), (1, 0));
    assert_eq!(ledger.alerts()[0].ending_summary(), "Budget b: 0.6 of 10 USD used, below 50 % again");
}

/// Sets the limit of a budget, and looks what is to be told.
fn limit(ledger: &Ledger, id: &str, usd: &str) {
    let change = |form: &mut BudgetForm| form.limit_usd = Some(usd.to_owned());
    let act = tollbook_ledger::Act::new("budget.change");
    ledger.change_budget(&By::local(), act, id, None, &utc(), change).unwrap();
    ledger.alert_on_budgets().unwrap();
}

#[test]
fn each_limit_tells_of_its_thresholds_in_the_same_window_and_over_restarts() {
    for restarts in [false, true] {
        let rig = Rig::new();
        let mut process = Some(rig.open());
        let id =
            create(process.as_ref().unwrap(), r#""limit_usd":"1.00","window":"month","warn_at":[80,100]"#);
        let mut spent = 0;
        let mut check = |act: &str, now: &[&str]| {
            let mut ledger = process.take().unwrap();
            match act.split_once(' ') {
                Some(("spend", cents)) => {
                    spent += 1;
                    spend(&rig, &ledger, &format!("e{spent}"), cents.parse().unwrap());
                }
                Some(("limit", usd)) => limit(&ledger, &id, usd),
                _ => panic!("{act}"),
            }
            ledger.alert_on_budgets().unwrap();
            rig.clock.advance_seconds(1);
            if restarts {
                drop(ledger);
                ledger = open(&rig);
                assert_eq!(ledger.alert_on_budgets().unwrap(), [], "{act}");
            }
            let firing = ledger.alerts().into_iter().filter(|alert| alert.state == AlertState::Firing);
            let mut firing: Vec<String> =
                firing.map(|alert| format!("{} of {}", alert.key.threshold, alert.limit)).collect();
            firing.sort_by_key(String::len);
            assert_eq!(firing, now, "{act} {restarts}");
            process = Some(ledger);
        };
        check("spend 85", &["80 of 1"]);
        check("limit 2", &[]);
        check("spend 85", &["80 of 2"]);
        check("spend 30", &["80 of 2", "100 of 2"]);
        check("limit 10", &[]);
        check("limit 2", &["80 of 2", "100 of 2"]);
        let ids: std::collections::BTreeSet<String> =
            process.unwrap().alerts().iter().map(|alert| alert.id.clone()).collect();
        assert_eq!(ids.len(), 5, "each has an id of its own");
    }
}

#[test]
fn of_thresholds_that_are_passed_at_once_channels_hear_of_the_highest() {
    let rig = Rig::new();
    let ledger = rig.open();
    let id = create(&ledger, r#""limit_usd":"1.00","window":"month","warn_at":[50,80,100]"#);
    spend(&rig, &ledger, "e1", 90);
    assert_eq!(ledger.alert_on_budgets().unwrap().len(), 2);
    assert_eq!(told(&ledger), ["50 firing", "80 firing firing:pending"]);
    deliver_all(&ledger);
    spend(&rig, &ledger, "e2", 90);
    ledger.alert_on_budgets().unwrap();
    assert_eq!(told(&ledger)[2], "100 firing firing:pending");
    deliver_all(&ledger);
    limit(&ledger, &id, "100.00");
    let resolved = ["50 resolved", "80 resolved firing:delivered resolved:pending"];
    assert_eq!(told(&ledger)[..2], resolved);
}

#[test]
fn a_threshold_that_is_no_more_ends_what_it_told() {
    let rig = Rig::new();
    let ledger = rig.open();
    let id = create(&ledger, r#""limit_usd":"1.00","window":"total","warn_at":[50,80]"#);
    spend(&rig, &ledger, "e1", 60);
    ledger.alert_on_budgets().unwrap();
    let change = |form: &mut BudgetForm| form.warn_at = Some(vec![80]);
    let act = tollbook_ledger::Act::new("budget.change");
    ledger.change_budget(&By::local(), act, &id, None, &utc(), change).unwrap();
    ledger.alert_on_budgets().unwrap();
    assert_eq!(told(&ledger), ["50 resolved firing:pending"]);
}

#[test]
fn a_rolling_window_may_tell_again_and_what_has_no_budget_ends() {
    let rig = Rig::new();
    let ledger = rig.open();
    let id = create(&ledger, r#""limit_usd":"1.00","window":"rolling","minutes":60,"warn_at":[50]"#);
    for (call, seconds) in [("e1", 0), ("e2", 3 * HOUR)] {
        rig.clock.advance_seconds(seconds);
        ledger.alert_on_budgets().unwrap();
        spend(&rig, &ledger, call, 60);
        ledger.alert_on_budgets().unwrap();
    }
    assert_eq!(told(&ledger), ["50 resolved firing:pending resolved:pending", "50 firing firing:pending"]);
    let before = ledger.alerts();
    drop(ledger);
    let ledger = open(&rig);
    assert_eq!((ledger.alert_on_budgets().unwrap(), ledger.alerts()), (Vec::new(), before));
    ledger.remove_budget(&By::local(), &id, None).unwrap();
    assert_eq!(ledger.alert_on_budgets().unwrap().len(), 1);
    assert_eq!(told(&ledger)[1], "50 resolved firing:pending");
}

#[test]
fn a_message_that_fails_is_tried_again_and_an_alert_is_acknowledged_once() {
    let rig = Rig::new();
    let ledger = rig.open();
    create(&ledger, r#""limit_usd":"1.00","window":"month","warn_at":[50]"#);
    spend(&rig, &ledger, "e1", 60);
    ledger.alert_on_budgets().unwrap();
    let id = ledger.alerts()[0].id.clone();
    let refused = Attempt::Refused { why: "the server said 503".to_owned(), again: true, after: None };
    ledger.note_delivery(&id, 0, refused).unwrap();
    assert!(ledger.due_alerts().is_empty());
    drop(ledger);
    rig.clock.advance_seconds(10);
    let ledger = open(&rig);
    let due = ledger.due_alerts();
    let delivery = due[0].delivery().unwrap();
    assert_eq!((delivery.attempts, delivery.error.as_deref()), (1, Some("the server said 503")));
    let first = ledger.acknowledge_alert(&By::local(), &id).unwrap().unwrap();
    rig.clock.advance_seconds(10);
    assert_eq!(ledger.acknowledge_alert(&By::local(), &id).unwrap().unwrap(), first);
    assert_eq!(ledger.acknowledge_alert(&By::local(), "alr_no").unwrap(), None);
    assert_eq!(rig.verify(), [""; 0]);
}

#[test]
fn what_is_over_for_long_is_dropped_but_not_while_its_window_runs() {
    let rig = Rig::new();
    let ledger = rig.open();
    create(&ledger, r#""limit_usd":"1.00","window":"day","warn_at":[50]"#);
    create(&ledger, r#""limit_usd":"1.00","window":"total","warn_at":[50]"#);
    spend(&rig, &ledger, "e1", 60);
    assert_eq!(ledger.alert_on_budgets().unwrap().len(), 2);
    deliver_all(&ledger);
    rig.clock.advance_seconds(24 * HOUR);
    ledger.alert_on_budgets().unwrap();
    ledger.age_alerts().unwrap();
    for (days, kept) in [(89, 2), (2, 1), (900, 1)] {
        rig.clock.advance_seconds(days * 24 * HOUR);
        ledger.age_alerts().unwrap();
        assert_eq!(recorded_alerts(ledger.store().as_ref()).unwrap().len(), kept, "{days}");
    }
}

fn finding(rig: &Rig, kind: RuleKind, value: &str, turn: Turn) -> Finding {
    let now = rig.clock.now();
    Finding {
        kind,
        value: value.to_owned(),
        threshold: "1".to_owned(),
        period: now,
        until: (kind == RuleKind::UnpricedModel).then(|| now + std::time::Duration::from_secs(3_600)),
        turn,
        summary: "it is so".to_owned(),
        measured: "1".to_owned(),
        limit: "1".to_owned(),
        unit: "calls",
        notify: vec!["ops".to_owned()],
    }
}

#[test]
fn what_a_rule_has_found_is_told_once_and_known_after_a_restart() {
    use RuleKind::{FailureRate, UnpricedModel};
    let rig = Rig::new();
    let ledger = rig.open();
    let on = |ledger: &Ledger, kind, value, turn| {
        ledger.alert_on_finding(&finding(&rig, kind, value, turn)).unwrap().is_some()
    };
    assert!(on(&ledger, FailureRate, "openai", Turn::Firing));
    assert!(on(&ledger, UnpricedModel, "openai/a\nb", Turn::Firing));
    assert!(!on(&ledger, UnpricedModel, "openai/a\nb", Turn::Firing), "the same period");
    rig.clock.advance_seconds(HOUR);
    assert!(!on(&ledger, FailureRate, "openai", Turn::Firing), "it lasts");
    assert_eq!(ledger.age_alerts().unwrap().len(), 1, "the period of the other is over");
    drop(ledger);
    let ledger = open(&rig);
    let known = |kinds: &[RuleKind]| -> Vec<(String, bool)> {
        let known = ledger.known_findings(kinds).unwrap();
        known.into_iter().map(|known| (known.value, known.holds)).collect()
    };
    let both = [("openai".to_owned(), true), ("openai/a b".to_owned(), false)];
    assert!(known(&[FailureRate, UnpricedModel]).iter().all(|known| both.contains(known)));
    assert!(on(&ledger, FailureRate, "openai", Turn::Resolved));
    assert!(!on(&ledger, FailureRate, "openai", Turn::Resolved));
    rig.clock.advance_seconds(HOUR);
    assert!(on(&ledger, FailureRate, "openai", Turn::Firing), "another hour");
    // A rule that is switched off holds nothing any more.
    assert_eq!(known(&[UnpricedModel]), [both[1].clone()]);
    assert!(ledger.alerts().iter().all(|alert| alert.state == AlertState::Resolved));
}

#[test]
fn an_erased_person_stands_in_no_alert_and_is_told_of_no_second_time() {
    let rig = Rig::new();
    let spend_as = |ledger: &Ledger, id: &str, user: &str| {
        let mut event = event(id, 0, 60 * 5_000);
        (event.occurred_at, event.attribution.user) = (rig.clock.now(), Some(user.to_owned()));
        sign(&mut event);
        ledger.submit(vec![event]).unwrap();
    };
    let names = |ledger: &Ledger| {
        let recorded = recorded_alerts(ledger.store().as_ref()).unwrap();
        ["Ann-Canary", "bob"].map(|name| {
            let count = |texts: Vec<String>| texts.iter().filter(|text| text.contains(name)).count();
            let known: Vec<String> = ledger.alerts().iter().map(|alert| format!("{alert:?}")).collect();
            let stored: Vec<String> = recorded.iter().map(|alert| format!("{alert:?}")).collect();
            assert_eq!(count(known.clone()), count(stored));
            count(known)
        })
    };
    {
        let ledger = open(&rig);
        create(&ledger, r#""each":"user","limit_usd":"1.00","window":"day","warn_at":[50]"#);
        create(&ledger, r#""match":{"user":"Ann-Canary"},"limit_usd":"1.00","window":"day","warn_at":[50]"#);
        spend_as(&ledger, "e1", "Ann-Canary");
        spend_as(&ledger, "e2", "bob");
        assert_eq!(ledger.alert_on_budgets().unwrap().len(), 3);
        assert_eq!(names(&ledger), [1, 1], "the other budget's alert says no more than its name");
        rig.clock.advance_seconds(1);
        let order = ErasureOrder { user: "Ann-Canary".into(), project: None, reason: "asked to".into() };
        let erased = ledger.erase(&By::local(), &order).unwrap();
        assert_eq!(names(&ledger), [0, 1]);
        let of = |alert: &Alert| alert.summary.contains(&erased.erasure.pseudonym);
        assert_eq!(ledger.alerts().iter().filter(|alert| of(alert)).count(), 1);
        assert_eq!(ledger.alert_on_budgets().unwrap(), []);
    }
    let ledger = open(&rig);
    assert_eq!((names(&ledger), ledger.alert_on_budgets().unwrap()), ([0, 1], vec![]));
    assert_eq!(ledger.alerts().len(), 3);
}

fn summary(rig: &Rig, users: &[&str]) -> Summary {
    let now = rig.clock.now();
    let row = |user: &&str| TopRow {
        unpriced_calls: 0,
        value: Some((*user).to_owned()),
        calls: 1,
        tokens: 1,
        cost: "0.5".parse().unwrap(),
    };
    let top = Top {
        by: "user".to_owned(),
        rows: users.iter().map(row).collect(),
        others: 0,
        others_cost: "0".parse().unwrap(),
    };
    Summary {
        every: Every::Day,
        from: now - std::time::Duration::from_secs(24 * 3_600),
        to: now,
        zone: "UTC".to_owned(),
        used: Used { calls: 3, cost: "1.5".parse().unwrap(), ..Used::default() },
        before: Used::default(),
        top: vec![top],
    }
}

#[test]
fn a_summary_is_kept_while_its_period_may_be_told_and_names_no_erased_person() {
    let rig = Rig::new();
    let (told, until) = (
        summary(&rig, &["ann", "bob", "joanna"]),
        rig.clock.now() + std::time::Duration::from_secs(24 * 3_600),
    );
    let sum_up = |ledger: &Ledger| {
        let alert = ledger.sum_up(told.clone(), "a day".into(), until, vec!["ops".into()]);
        alert.unwrap().is_some()
    };
    {
        let ledger = open(&rig);
        assert!(!ledger.is_summed_up(Every::Day, told.from));
        assert!(sum_up(&ledger) && !sum_up(&ledger));
        assert!(ledger.is_summed_up(Every::Day, told.from) && !ledger.is_summed_up(Every::Week, told.from));
        let alert = &ledger.alerts()[0];
        assert_eq!((alert.state, alert.deliveries[0].progress), (AlertState::Resolved, Progress::Pending));
        rig.clock.advance_seconds(1);
        for user in ["ann", "bob"] {
            let order = ErasureOrder { user: user.into(), project: None, reason: "asked to".into() };
            ledger.erase(&By::local(), &order).unwrap();
        }
    }
    let ledger = open(&rig);
    assert!(!sum_up(&ledger));
    assert_eq!(deliver_all(&ledger), 1);
    for alert in recorded_alerts(ledger.store().as_ref()).unwrap() {
        let report = alert.report.unwrap();
        let names: Vec<&str> = report.top[0].rows.iter().filter_map(|row| row.value.as_deref()).collect();
        assert!(
            names[..2].iter().all(|name| name.starts_with("erased:")) && names[0] != names[1],
            "{names:?}"
        );
        assert_eq!(names[2], "joanna");
    }
    // Past its period it goes as other alerts do.
    for (days, kept) in [(89, true), (2, false)] {
        rig.clock.advance_seconds(days * 24 * HOUR);
        ledger.age_alerts().unwrap();
        assert_eq!(ledger.is_summed_up(Every::Day, told.from), kept, "{days}");
    }
}
