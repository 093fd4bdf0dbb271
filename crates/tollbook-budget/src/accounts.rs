//! The accounts of one limit: one for each value of its `each`, or a single one.

use hashbrown::HashMap;

/// Accounts by whose they are. `None` is whose call has no value, and everybody's where the limit has
/// no `each`.
#[derive(Clone, Debug)]
pub(crate) struct Accounts<A> {
    nobodys: Option<A>,
    by_value: HashMap<String, A>,
}

impl<A> Default for Accounts<A> {
    fn default() -> Accounts<A> {
        Accounts { nobodys: None, by_value: HashMap::new() }
    }
}

impl<A: Default> Accounts<A> {
    pub fn get(&self, whose: Option<&str>) -> Option<&A> {
        match whose {
            None => self.nobodys.as_ref(),
            Some(value) => self.by_value.get(value),
        }
    }

    pub fn get_mut(&mut self, whose: Option<&str>) -> Option<&mut A> {
        match whose {
            None => self.nobodys.as_mut(),
            Some(value) => self.by_value.get_mut(value),
        }
    }

    /// The account, which is opened if there is none.
    pub fn open(&mut self, whose: Option<&str>) -> &mut A {
        match whose {
            None => self.nobodys.get_or_insert_default(),
            Some(value) => self.by_value.entry_ref(value).or_default(),
        }
    }

    pub fn len(&self) -> usize {
        usize::from(self.nobodys.is_some()) + self.by_value.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &A)> {
        let named = self.by_value.iter().map(|(value, account)| (Some(value.as_str()), account));
        self.nobodys.iter().map(|account| (None, account)).chain(named)
    }

    /// Looks at every account, which may change, and keeps those of which this is true.
    pub fn retain(&mut self, mut keeps: impl FnMut(Option<&str>, &mut A) -> bool) {
        if self.nobodys.as_mut().is_some_and(|account| !keeps(None, account)) {
            self.nobodys = None;
        }
        self.by_value.retain(|value, account| keeps(Some(value.as_str()), account));
    }
}
