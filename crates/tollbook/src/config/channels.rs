//! `[[channels]]`: where alerts go. Secrets are named here, and looked up when the server starts.

use super::budgets::{list, small};
use super::file::Reader;
use super::gateway::{SecretRef, secret};
use super::{Origin, Set};
use std::collections::BTreeMap;
use tollbook_notify::{ChannelForm, Secret};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of one channel.
pub const KEYS: &[&str] = ChannelForm::MEMBERS;

/// A channel as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSet {
    /// What stands in the file, without secrets.
    pub form: ChannelForm,
    /// Where `url`, `secret` and `smtp_password` are found.
    pub secrets: BTreeMap<&'static str, SecretRef>,
    /// Where it stands.
    pub origin: Origin,
}

/// Reads one channel. What its members mean is looked at when the secrets are there.
pub fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, origin: Origin) -> ChannelSet {
    let mut form = ChannelForm::default();
    let mut secrets = BTreeMap::new();
    for (key, found) in table {
        match key.get_ref().as_ref() {
            "name" => form.name = reader.text(found).unwrap_or_default(),
            "kind" => form.kind = reader.text(found).unwrap_or_default(),
            // A webhook's may be seen; Slack's is a secret in itself.
            "url" if matches!(found.get_ref(), DeValue::String(_)) => {
                form.url = reader.text(found).map(Secret::from);
            }
            "url" => drop(note(reader, &mut secrets, "url", found)),
            "secret" => drop(note(reader, &mut secrets, "secret", found)),
            "smtp_password" => drop(note(reader, &mut secrets, "smtp_password", found)),
            "to" => {
                form.to = list(reader, found).into_iter().filter_map(|text| reader.text(text)).collect();
            }
            "from" => form.from = reader.text(found),
            "smtp_host" => form.smtp_host = reader.text(found),
            "smtp_port" => form.smtp_port = small(reader, found),
            "smtp_tls" => form.smtp_tls = reader.text(found),
            "smtp_user" => form.smtp_user = reader.text(found),
            "allow_private" => form.allow_private = reader.truth(found).unwrap_or_default(),
            other => reader.unknown_key("channels", other, key.span()),
        }
    }
    ChannelSet { form, secrets, origin }
}

fn note(
    reader: &mut Reader<'_>,
    secrets: &mut BTreeMap<&'static str, SecretRef>,
    name: &'static str,
    found: &Spanned<DeValue<'_>>,
) -> Option<SecretRef> {
    let Set { value, .. } = secret(reader, found)?;
    secrets.insert(name, value)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, file};
    use std::path::Path;

    #[test]
    fn secrets_are_named_and_never_written() {
        let read = |text: &str| {
            let (mut config, mut problems) = (Config::default(), Vec::new());
            file::read(&mut config, Path::new("t.toml"), text, &mut problems);
            (config, problems)
        };
        let text = "[[channels]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"https://example.com/hook\"\n\
                    secret = { env = \"HOOK_SECRET\" }\n[[channels]]\nname = \"chat\"\nkind = \"slack\"\n\
                    url = { file = \"slack-url\" }\n";
        let (config, problems) = read(text);
        assert!(problems.is_empty(), "{problems:?}");
        let names: Vec<&str> = config.channels.iter().map(|set| set.form.name.as_str()).collect();
        assert_eq!(names, ["ops", "chat"]);
        assert!(config.channels[1].secrets.contains_key("url") && config.channels[1].form.url.is_none());
        for (text, wanted) in [
            ("[[channels]]\nsecret = \"whsec_x\"\n", "never the"),
            ("[[channels]]\nsmtp_password = \"x\"\n", "never the"),
            ("[[channels]]\nkindd = \"log\"\n", "did you mean \"kind\"?"),
            ("[channels]\n", "[[channels]]"),
        ] {
            let (_, problems) = read(text);
            assert!(problems.len() == 1 && problems[0].contains(wanted), "{text}: {problems:?}");
        }
    }
}
