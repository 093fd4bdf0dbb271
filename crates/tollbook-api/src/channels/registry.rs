//! The channels there are: those of the configuration, and those that are documents.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tollbook_ledger::{Act, By, Ledger, LedgerError};
use tollbook_notify::{Channel, ChannelForm, Fault};
use tollbook_types::Timestamp;

/// Where the documents are.
const DOCUMENTS: &str = "channel/";
/// Channels that there may be.
const CHANNELS_MAX: usize = 100;

/// A channel, and where it is defined.
#[derive(Clone, Debug)]
pub struct Known {
    /// The channel.
    pub channel: Channel,
    /// Whether it stands in the configuration.
    pub is_configured: bool,
}

/// A channel's document. It has the secrets: whoever reads the books may send what they send.
#[derive(Serialize, Deserialize)]
struct Document {
    created_at: Timestamp,
    form: ChannelForm,
}

/// Why a channel is not taken.
#[derive(Debug)]
pub enum ChannelError {
    /// Members are wrong.
    Faults(Vec<Fault>),
    /// There is one with the name.
    Exists,
    /// It stands in the configuration.
    Configured,
    /// There are as many as there may be.
    TooMany,
    /// Recording failed.
    Ledger(LedgerError),
}

/// Every channel, by its name.
#[derive(Debug, Default)]
pub struct Channels {
    known: RwLock<BTreeMap<String, Arc<Known>>>,
    /// Held from reading to writing.
    changing: Mutex<()>,
}

impl Channels {
    /// Those of the books, and those of the configuration, which win.
    ///
    /// # Errors
    /// A document cannot be read, or a channel of the configuration makes no sense.
    pub fn load(ledger: &Ledger, configured: &[ChannelForm]) -> Result<Channels, LedgerError> {
        let mut known = BTreeMap::new();
        for control in ledger.store().controls(DOCUMENTS)? {
            let Some(body) = control.body else { continue };
            // One that is left out would tell nobody, and nobody would know.
            let unreadable = || LedgerError::Invalid(format!("the document {} cannot be read", control.key));
            let document: Document = serde_json::from_str(&body).map_err(|_| unreadable())?;
            let channel = document.form.read().map_err(|_| unreadable())?;
            known.insert(channel.name.clone(), Arc::new(Known { channel, is_configured: false }));
        }
        for form in configured {
            let channel = form.read().map_err(|_| {
                LedgerError::Invalid(format!("the configured channel {:?} makes no sense", form.name))
            })?;
            known.insert(channel.name.clone(), Arc::new(Known { channel, is_configured: true }));
        }
        Ok(Channels { known: RwLock::new(known), changing: Mutex::default() })
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The one with this name.
    pub fn get(&self, name: &str) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Adds one; on return it is durable.
    pub fn create(
        &self,
        ledger: &Ledger,
        by: &By,
        form: ChannelForm,
        now: Timestamp,
    ) -> Result<Arc<Known>, ChannelError> {
        let channel = form.read().map_err(ChannelError::Faults)?;
        let _changing = self.change();
        let (name, kind) = (channel.name.clone(), channel.kind());
        if self.get(&name).is_some() {
            return Err(ChannelError::Exists);
        }
        if self.list().len() >= CHANNELS_MAX {
            return Err(ChannelError::TooMany);
        }
        let body = serde_json::to_string(&Document { created_at: now, form })
            .map_err(|error| ChannelError::Ledger(LedgerError::Invalid(error.to_string())))?;
        let act = Act::new("channel.create").on("channel", name.as_str()).told("kind", kind);
        let document = (format!("{DOCUMENTS}{name}"), Some(body));
        ledger.write_documents(by, act, vec![document]).map_err(ChannelError::Ledger)?;
        let known = Arc::new(Known { channel, is_configured: false });
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(name, known.clone());
        Ok(known)
    }

    /// Takes one away. False when there is none with this name.
    pub fn remove(&self, ledger: &Ledger, by: &By, name: &str) -> Result<bool, ChannelError> {
        let _changing = self.change();
        match self.get(name) {
            None => return Ok(false),
            Some(known) if known.is_configured => return Err(ChannelError::Configured),
            Some(_) => {}
        }
        let act = Act::new("channel.remove").on("channel", name);
        let document = (format!("{DOCUMENTS}{name}"), None);
        ledger.write_documents(by, act, vec![document]).map_err(ChannelError::Ledger)?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(true)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
