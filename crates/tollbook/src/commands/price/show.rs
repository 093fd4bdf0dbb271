//! `tollbook price show MODEL`: every price of a model, as the book has it.

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::text::visible;
use crate::prices;
use serde_json::json;
use tollbook_pricing::{Model, Provider, write_provider};
use tollbook_types::canonical_provider;

pub fn run(model: &str, provider: Option<&str>, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let book = prices::book(config)?;
    let wanted = provider.map(canonical_provider);
    let name = model.to_lowercase();
    let is_meant = |provider: &Provider, model: &Model| {
        wanted.as_ref().is_none_or(|wanted| *wanted == provider.id)
            && (model.id == name
                || format!("{}/{}", provider.id, model.id) == name
                || model.rules.iter().any(|rule| rule.exact() == Some(name.as_str())))
    };
    let mut texts = Vec::new();
    for provider in book.providers() {
        let models: Vec<Model> = provider.models.iter().filter(|m| is_meant(provider, m)).cloned().collect();
        if models.is_empty() {
            continue;
        }
        // The provider with nothing but these models: the same words as in a price file.
        let only = Provider {
            models,
            aliases: Vec::new(),
            strip: Vec::new(),
            pages: Vec::new(),
            ..provider.clone()
        };
        texts.push((provider.id.clone(), write_provider(&only)));
    }
    if texts.is_empty() {
        return Err(Failure::new(format!("the price book has no model {model:?}")).hint(format!(
            "`tollbook price match {model}` tells whether a rule matches it, and what comes near"
        )));
    }
    if out.json {
        let data = texts.iter().map(|(provider, text)| json!({"provider": provider, "toml": text}));
        out.json(&json!({"data": data.collect::<Vec<_>>()}))?;
        return Ok(Exit::Ok);
    }
    for (nth, (_, text)) in texts.iter().enumerate() {
        if nth > 0 {
            out.line("")?;
        }
        for line in text.trim_end().lines() {
            out.line(&visible(line))?;
        }
    }
    Ok(Exit::Ok)
}
