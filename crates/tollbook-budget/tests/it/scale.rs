//! Many budgets do not make a decision slow: what is looked at depends on the dimensions, not on
//! how many budgets there are.

use crate::rig::{NOW, budget, call, instant};
use tollbook_budget::{Engine, Start};

#[test]
fn ten_thousand_budgets_are_found_by_their_values() {
    let mut engine = Engine::default();
    for n in 0..10_000 {
        let members = format!(r#""match":{{"user":"u{n}"}},"limit_usd":"1","window":"day","mode":"strict""#);
        engine.set(budget(&format!("b{n}"), &members), &Start::default(), instant(NOW));
    }
    for (id, members) in [
        ("all", r#""limit_usd":"100","window":"day""#),
        ("each", r#""each":"user","limit_usd":"1","window":"day""#),
        ("model", r#""match":{"model":"gpt-x"},"limit_calls":9,"window":"day""#),
    ] {
        engine.set(budget(id, members), &Start::default(), instant(NOW));
    }
    for (who, budgets) in [("user=u7", 4), ("user=u9500", 4), ("user=nobody", 3), ("", 3)] {
        let call = call(who, who, 1);
        assert_eq!(call.admit(&mut engine).unwrap().budgets, budgets, "{who}");
    }
    assert_eq!(engine.budgets().count(), 10_000 + 3);
}
