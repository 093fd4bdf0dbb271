//! What `serve` prints when it stands: where to send calls, and with which key.

use super::{Made, demo};
use crate::failure::Failure;
use crate::out::Out;
use serde_json::json;
use tollbook_ledger::LINK_MINUTES;

/// What is known then.
pub struct Banner<'a> {
    /// The server's own address.
    pub url: &'a str,
    /// Where whoever started it signs in, once.
    pub sign_in: Option<String>,
    /// Keys that were just made.
    pub keys: Option<&'a Made>,
    /// Whether the demo provider runs.
    pub is_demo: bool,
    /// The upstreams' names.
    pub upstreams: Vec<String>,
}

impl Banner<'_> {
    /// Prints it. Nobody sees the keys again.
    pub fn print(&self, out: &mut Out) -> Result<(), Failure> {
        if out.json {
            out.json_line(&json!({
                "url": self.url,
                "ingest_url": format!("{}/api/v1/events", self.url),
                "sign_in_url": self.sign_in,
                "upstreams": self.upstreams,
                "admin_key": self.keys.and_then(|made| made.admin.as_deref()),
                "key": self.keys.map(|made| made.first.as_str()),
            }))?;
            return out.flush();
        }
        let url = self.url;
        out.line(&format!("Tollbook listens on {url}"))?;
        out.line("")?;
        out.line(&format!("  gateway   {url}/openai/v1   {url}/anthropic   …"))?;
        out.line(&format!("  ingest    {url}/api/v1/events"))?;
        if let Some(sign_in) = &self.sign_in {
            out.line(&format!("  sign in   {sign_in}   (once, {LINK_MINUTES} minutes)"))?;
        }
        out.line("")?;
        match self.keys {
            Some(made) => {
                if let Some(admin) = &made.admin {
                    out.line(&format!("  admin key {admin}"))?;
                }
                out.line(&format!("  first key {}", made.first))?;
                out.line("  They are shown this once. `tollbook key create NAME` makes more.")?;
            }
            None => {
                out.line("  `tollbook key list` names the keys, `tollbook key create NAME` makes one.")?
            }
        }
        out.line("")?;
        self.advise(out)?;
        out.flush()
    }

    fn advise(&self, out: &mut Out) -> Result<(), Failure> {
        let key = self.keys.map_or("YOUR-TOLLBOOK-KEY", |made| made.first.as_str());
        if self.is_demo {
            out.line("The first call, to the demo provider:")?;
            out.line("")?;
            out.line(&format!("  curl {}/{}/v1/chat/completions \\", self.url, demo::NAME))?;
            out.line(&format!("    -H 'authorization: Bearer {key}' \\"))?;
            let body = r#"{"model":"demo-1","messages":[{"role":"user","content":"Hello"}]}"#;
            out.line(&format!("    -d '{body}'"))?;
            out.line("")?;
            return out.line("and beside it: tollbook calls --follow");
        }
        out.line("In a program, change only the base URL and the key:")?;
        out.line("")?;
        out.line(&format!("  OPENAI_BASE_URL={}/openai/v1 OPENAI_API_KEY={key} …", self.url))?;
        out.line("")?;
        out.line(
            "The provider's own key stays here: set OPENAI_API_KEY, ANTHROPIC_API_KEY, … for this server.",
        )
    }
}
