//! Budgets as they are written, and as they are said back.

use tollbook_budget::BudgetForm;
use tollbook_types::Zone;

fn read(members: &str) -> Result<String, Vec<String>> {
    let form: BudgetForm = serde_json::from_str(members).map_err(|error| vec![error.to_string()])?;
    let read = form.read("bud_1", &("UTC".to_owned(), Zone::UTC));
    read.map(|budget| budget.to_string()).map_err(|faults| {
        faults.into_iter().map(|fault| format!("{} {}", fault.member, fault.detail)).collect()
    })
}

#[test]
fn a_budget_is_said_in_words() {
    for (members, words) in [
        (
            r#"{"name":"ops","match":{"tag.team":"ops"},"limit_usd":"200.00","window":"month",
                "time_zone":"Europe/Berlin","mode":"strict","warn_at":[100,50,80,50],"notify":["ops"]}"#,
            "Calls with tag.team = ops together may use $200 in each month (Europe/Berlin); a call that does not \
             fit is refused. Calls in flight count as the most they can cost, so the limit is never passed; what \
             cannot be bounded or priced is refused. It is told at 50, 80, 100 %, to ops.",
        ),
        (
            r#"{"name":"users","each":"user","limit_tokens":5000,"window":"rolling","minutes":300,"at_limit":"warn",
                "warn_at":[]}"#,
            "All calls, for each user alone (those without one share one limit), may use 5000 tokens in any 5 hours; \
             beyond that nothing is stopped. Calls in flight count as what such calls usually cost, so the limit may \
             be passed by what is in flight.",
        ),
        (
            r#"{"name":"w","match":{"provider":"aws"},"limit_calls":10,"window":"week","first_day":"sunday",
                "at_limit":"throttle","warn_at":[75]}"#,
            "Calls with provider = bedrock together may use 10 calls in each week from Sunday (UTC); from 75 % on they \
             are spaced out, at the limit refused. Calls in flight count as what such calls usually cost, so the limit \
             may be passed by what is in flight. It is told at 75 %, in the list of alerts.",
        ),
    ] {
        assert_eq!(read(members).unwrap(), words);
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let faults = read(
        r#"{"match":{"status":"ok","nonsense":"1","user":""},"limit_usd":"-1","limit_calls":1,"window":"year","minutes":5,
            "time_zone":"Mars","at_limit":"stop","warn_at":[0],"mode":"hard","downgrade":{"a":"a"}}"#,
    );
    let members: Vec<String> = faults
        .unwrap_err()
        .iter()
        .map(|fault| fault.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    let wanted = [
        "name",
        "limit_usd",
        "match",
        "match",
        "match",
        "minutes",
        "window",
        "time_zone",
        "downgrade",
        "at_limit",
        "warn_at",
        "mode",
    ];
    assert_eq!(members, wanted);
    for (members, told) in [
        (r#"{"name":"b","limit_usd":"1","window":"day","limt":1}"#, "unknown field `limt`"),
        (r#"{"name":"b","limit_usd":1,"window":"day"}"#, "invalid type: integer"),
        (r#"{"name":"b","limit_usd":"-1","window":"day"}"#, "limit_usd is not below 0"),
        (r#"{"name":"b","limit_usd":"1e400","window":"day"}"#, "limit_usd is an amount"),
        (r#"{"name":"b","limit_tokens":-1,"window":"day"}"#, "invalid value"),
        (r#"{"name":"b","limit_calls":1,"window":"month","reset_day":32}"#, "reset_day"),
        (r#"{"name":"b","limit_calls":1,"window":"rolling"}"#, "minutes"),
        (r#"{"name":"b","match":{"model":"gpt-4*"},"limit_calls":1,"window":"day"}"#, "by its whole name"),
        (r#"{"name":"b","limit_calls":1,"window":"day","at_limit":"downgrade"}"#, "downgrade"),
        (
            r#"{"name":"b","limit_calls":1,"window":"day","raises":[{"by":"0","until":"2026-11-22T10:00:00Z"}]}"#,
            "raises",
        ),
    ] {
        let faults = read(members).unwrap_err();
        assert!(faults[0].contains(told), "{members}: {faults:?}");
    }
}
