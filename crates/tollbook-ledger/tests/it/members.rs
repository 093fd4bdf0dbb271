//! Members and sessions across a restart, and the audit log beside what it tells of.

use crate::rig::Rig;
use tollbook_ledger::{AuditQuery, By, Ledger, NewKey, NewMember, audit_page};
use tollbook_types::{Attribution, Role, TimeRange};

fn member(name: &str) -> NewMember {
    NewMember { name: name.into(), role: Role::Viewer, user: None, project: None }
}

fn acts(ledger: &Ledger) -> Vec<String> {
    let query = AuditQuery { range: TimeRange::ALL, actor: None, before: None, limit: 100 };
    let page = audit_page(ledger.store().as_ref(), &query).unwrap();
    page.records.into_iter().rev().map(|record| record.act.act).collect()
}

#[test]
fn what_somebody_is_signed_in_with_outlives_a_restart_and_its_end_does_too() {
    let rig = Rig::new();
    let ledger = rig.open();
    let (key, _) = ledger
        .create_key(
            &By::local(),
            NewKey {
                name: "a".into(),
                roles: vec![Role::Viewer],
                binding: Attribution::default(),
                expires_at: None,
            },
        )
        .unwrap();
    let by_key = ledger.begin_session(&key).unwrap();
    rig.clock.advance_seconds(1);
    let ann = ledger.add_member(&By::local(), member("ann")).unwrap();
    rig.clock.advance_seconds(1);
    let (used, _) = ledger.link_member(&By::local(), &ann.id).unwrap().unwrap();
    rig.clock.advance_seconds(1);
    let (by_link, _) = ledger.redeem_link(None, None, &used).unwrap().unwrap();
    rig.clock.advance_seconds(1);
    let (open, _) = ledger.link_member(&By::local(), &ann.id).unwrap().unwrap();
    rig.clock.advance_seconds(1);
    ledger.close().unwrap();

    let ledger = rig.open();
    assert!(ledger.session(&by_key).is_some() && ledger.session(&by_link).is_some());
    assert!(ledger.redeem_link(None, None, &used).unwrap().is_none(), "used before the restart");
    let (third, _) = ledger.redeem_link(None, None, &open).unwrap().unwrap();
    rig.clock.advance_seconds(1);
    ledger.rotate_key(&By::local(), &key.id).unwrap();
    rig.clock.advance_seconds(1);
    ledger.remove_member(&By::local(), &ann.id).unwrap();
    let ended = [&by_key, &by_link, &third];
    assert!(ended.iter().all(|text| ledger.session(text).is_none()));
    ledger.close().unwrap();

    let ledger = rig.open();
    assert!(ended.iter().all(|text| ledger.session(text).is_none()));
    let wanted = [
        "key.create",
        "member.add",
        "member.link",
        "member.sign_in",
        "member.link",
        "member.sign_in",
        "key.rotate",
        "member.remove",
    ];
    assert_eq!(acts(&ledger), wanted);
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn sessions_take_a_bounded_number_of_places() {
    let rig = Rig::new();
    let ledger = rig.open();
    let ann = ledger.add_member(&By::local(), member("ann")).unwrap();
    let mut texts = Vec::new();
    for _ in 0..20 {
        rig.clock.advance_seconds(1);
        let (link, _) = ledger.link_member(&By::local(), &ann.id).unwrap().unwrap();
        texts.push(ledger.redeem_link(None, None, &link).unwrap().unwrap().0);
    }
    let good: Vec<bool> = texts.iter().map(|text| ledger.session(text).is_some()).collect();
    assert_eq!(good, [[false; 12].as_slice(), &[true; 8]].concat(), "the latest eight");
    assert_eq!(ledger.store().controls("session/").unwrap().len(), 8);
}

#[test]
fn the_local_member_is_made_once() {
    let rig = Rig::new();
    let ledger = rig.open();
    let local = ledger.local_member().unwrap().unwrap();
    assert_eq!(ledger.local_member().unwrap(), Some(local.clone()));
    ledger.remove_member(&By::local(), &local.id).unwrap();
    assert_eq!(ledger.local_member().unwrap(), None, "who removed it wants none");
}
