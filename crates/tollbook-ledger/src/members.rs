//! Members: people who sign in. Each is a document; so are their one-time links, whose texts are
//! shown once and kept nowhere.

use crate::audit::{Act, Actor, By};
use crate::error::LedgerError;
use crate::keys::{check_names, new_id, new_text};
use crate::ledger::Ledger;
use crate::sessions::{Sessions, document_names};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tollbook_store::Store;
use tollbook_types::{Digest, Eraser, Erasures, Key, Link, Member, Role, Timestamp};

/// Where the documents are.
const DOCUMENTS: &str = "member/";
/// What an id begins with.
pub(crate) const ID_START: &str = "mem_";
/// The member as whom whoever starts the server signs in.
const LOCAL_ID: &str = "mem_local";
/// How long a sign-in link is good: long enough to hand it over, too short to be found later.
pub const LINK_MINUTES: u64 = 15;
/// Members that there may be.
const MEMBERS_MAX: usize = 10_000;

/// A member who is to be added.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// For people.
    pub name: String,
    /// Admin, viewer or member.
    pub role: Role,
    /// The user that they are; a member has one.
    pub user: Option<String>,
    /// The one project that they see.
    pub project: Option<String>,
}

/// What is to be changed of a member; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct MemberChange {
    /// Another name.
    pub name: Option<String>,
    /// Another role.
    pub role: Option<Role>,
    /// Another user, or none.
    pub user: Option<Option<String>>,
    /// Another project, or none.
    pub project: Option<Option<String>>,
}

/// Members and their sessions, and who may change them.
#[derive(Debug, Default)]
pub(crate) struct People {
    members: RwLock<Arc<Vec<Arc<Member>>>>,
    pub sessions: Sessions,
    /// Held from reading to writing, so that no change undoes another and no link is used twice.
    changing: Mutex<()>,
}

impl People {
    /// What the store has.
    pub fn load(store: &dyn Store) -> Result<People, LedgerError> {
        let people = People { sessions: Sessions::load(store)?, ..People::default() };
        people.set(recorded(store)?);
        Ok(people)
    }

    pub fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, members: Vec<Arc<Member>>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(members);
    }

    fn list(&self) -> Arc<Vec<Arc<Member>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The member with this id, unless they were removed.
    pub fn get(&self, id: &str) -> Option<Arc<Member>> {
        self.list().iter().find(|member| member.id == id && member.removed_at.is_none()).cloned()
    }
}

impl Ledger {
    /// Every member who was not removed, oldest first.
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.people().list().iter().filter(|member| member.removed_at.is_none()).cloned().collect()
    }

    /// Adds a member.
    pub fn add_member(&self, by: &By, new: NewMember) -> Result<Member, LedgerError> {
        let now = self.shared().clock.now();
        self.put_member(by, new_id(ID_START, now)?, new, now)
    }

    /// The member as whom whoever starts the server signs in: an admin, made at first. `None` once
    /// they were removed.
    pub fn local_member(&self) -> Result<Option<Arc<Member>>, LedgerError> {
        if !self.people().list().iter().any(|member| member.id == LOCAL_ID) {
            let new = NewMember { name: "local".to_owned(), role: Role::Admin, user: None, project: None };
            self.put_member(&By::local(), LOCAL_ID.to_owned(), new, self.shared().clock.now())?;
        }
        Ok(self.people().get(LOCAL_ID))
    }

    fn put_member(
        &self,
        by: &By,
        id: String,
        new: NewMember,
        created_at: Timestamp,
    ) -> Result<Member, LedgerError> {
        let NewMember { name, role, user, project } = new;
        let member = Member { id, name, role, user, project, created_at, removed_at: None, link: None };
        check(&member)?;
        let _changing = self.people().change();
        if self.people().list().len() >= MEMBERS_MAX {
            return Err(LedgerError::Invalid(format!("there are {MEMBERS_MAX} members already")));
        }
        self.write_member(by, Act::new("member.add").told("role", role.name()), &member)?;
        Ok(member)
    }

    /// Changes a member; what they may do changes at once, also where they are signed in. `None`
    /// when there is none with this id.
    pub fn change_member(
        &self,
        by: &By,
        id: &str,
        change: MemberChange,
    ) -> Result<Option<Member>, LedgerError> {
        let _changing = self.people().change();
        let Some(known) = self.people().get(id) else { return Ok(None) };
        let mut member = (*known).clone();
        member.name = change.name.unwrap_or(member.name);
        member.role = change.role.unwrap_or(member.role);
        member.user = change.user.unwrap_or(member.user);
        member.project = change.project.unwrap_or(member.project);
        check(&member)?;
        let act = Act::new("member.change").told("role", member.role.name());
        self.write_member(by, act, &member)?;
        Ok(Some(member))
    }

    /// Removes a member for good; their sessions and their link have ended on return. `None` when
    /// there is none with this id.
    pub fn remove_member(&self, by: &By, id: &str) -> Result<Option<Member>, LedgerError> {
        let _changing = self.people().change();
        let Some(known) = self.people().get(id) else { return Ok(None) };
        let removed_at = Some(self.shared().clock.now());
        let member = Member { removed_at, link: None, ..(*known).clone() };
        self.write_member(by, Act::new("member.remove"), &member)?;
        self.people().sessions.forget(id);
        for name in document_names(id) {
            if self.store().control(&name)?.is_some_and(|found| found.body.is_some()) {
                self.control(&name, None)?;
            }
        }
        Ok(Some(member))
    }

    /// Makes a sign-in link for a member: the text, and when it ends. A link that was made before is
    /// of no use any more. `None` when there is no member with this id.
    pub fn link_member(&self, by: &By, id: &str) -> Result<Option<(String, Timestamp)>, LedgerError> {
        let _changing = self.people().change();
        let Some(known) = self.people().get(id) else { return Ok(None) };
        let text = new_text()?;
        let expires_at = self.shared().clock.now() + Duration::from_secs(LINK_MINUTES * 60);
        let link = Some(Link { hash: Digest::of(text.as_bytes()), expires_at });
        self.write_member(by, Act::new("member.link"), &Member { link, ..(*known).clone() })?;
        Ok(Some((text, expires_at)))
    }

    /// Uses a sign-in link up, and begins a session for its member: the session's text, and what it
    /// acts as. `None` when the link is not known, was used, or has ended. Of two who come with the
    /// same link at once, one gets in.
    pub fn redeem_link(
        &self,
        request_id: Option<String>,
        from: Option<String>,
        text: &str,
    ) -> Result<Option<(String, Key)>, LedgerError> {
        let hash = Digest::of(text.as_bytes());
        let now = self.shared().clock.now();
        let _changing = self.people().change();
        let is_it = |link: &Link| link.hash == hash && now < link.expires_at;
        let members = self.people().list();
        let found = members.iter().find(|m| m.removed_at.is_none() && m.link.as_ref().is_some_and(is_it));
        let Some(known) = found else { return Ok(None) };
        let by = By { actor: Actor::member(&known.id), request_id, from };
        self.write_member(&by, Act::new("member.sign_in"), &Member { link: None, ..(**known).clone() })?;
        let key = known.as_key();
        Ok(Some((self.begin_session_locked(&key, true, now)?, key)))
    }

    /// Removes the members who are users that were erased, and takes the person out of them.
    pub(crate) fn erase_members(&self, erasures: &Erasures) -> Result<(), LedgerError> {
        let now = self.shared().clock.now();
        for known in self.people().list().iter() {
            let Some(erasure) = erasures.of(&known.as_key().binding, known.created_at) else { continue };
            let _changing = self.people().change();
            let mut binding = known.as_key().binding;
            let name = known.user.clone().unwrap_or_default();
            Eraser::new(erasure, &name).attribution(&mut binding);
            let member = Member {
                name: erasure.pseudonym.clone(),
                user: binding.user,
                removed_at: known.removed_at.or(Some(now)),
                link: None,
                ..(**known).clone()
            };
            self.write_member(&By::server(), Act::new("member.erase"), &member)?;
            self.people().sessions.forget(&known.id);
        }
        Ok(())
    }

    fn write_member(&self, by: &By, act: Act, member: &Member) -> Result<(), LedgerError> {
        let body = serde_json::to_string(member).map_err(|error| LedgerError::Invalid(error.to_string()))?;
        let name = format!("{DOCUMENTS}{}", member.id);
        self.write_documents(by, act.on("member", member.id.as_str()), vec![(name, Some(body))])?;
        self.people().set(recorded(self.store().as_ref())?);
        Ok(())
    }
}

fn recorded(store: &dyn Store) -> Result<Vec<Arc<Member>>, LedgerError> {
    let mut members = Vec::new();
    for control in store.controls(DOCUMENTS)? {
        let Some(body) = control.body else { continue };
        let member: Member = serde_json::from_str(&body).map_err(|error| {
            // A member who is left out would be one who cannot be removed either.
            LedgerError::Invalid(format!("the document {} cannot be read: {error}", control.key))
        })?;
        members.push(Arc::new(member));
    }
    members.sort_by(|left, right| (left.created_at, &left.id).cmp(&(right.created_at, &right.id)));
    Ok(members)
}

fn check(member: &Member) -> Result<(), LedgerError> {
    if !Member::ROLES.contains(&member.role) {
        return Err(LedgerError::Invalid("a member's role is admin, viewer or member".to_owned()));
    }
    if member.role == Role::Member && member.user.is_none() {
        return Err(LedgerError::Invalid("who has the role member is a user: name it".to_owned()));
    }
    check_names([&member.name].into_iter().chain(&member.user).chain(&member.project))
}
