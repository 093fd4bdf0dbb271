//! What has to be known of a request before it goes out, and what it goes out as.

use crate::admission::{Admitted, Ask};
use crate::answer::Answer;
use crate::ask::ask_for_usage;
use crate::attribution::attribution;
use crate::cache::CacheKey;
use crate::call::{Call, Plan};
use crate::change::changed;
use crate::core::Place;
use crate::heads::{ContentType, Head};
use crate::hold;
use crate::inbound::Inbound;
use crate::multipart;
use crate::outbound::Outbound;
use crate::path;
use crate::pipeline::Way;
use crate::refusal::{Reason, Refusal};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response};
use std::sync::Arc;
use tollbook_types::{Attribution, Key};
use tollbook_usage::{Api, Request as Facts};

/// A request that is ready.
pub(crate) enum Prepared {
    Going(Box<Going>),
    /// The cache had its answer.
    Answered(Response<Answer>),
}

/// What goes out.
pub(crate) struct Going {
    pub call: Call,
    pub request: Request<Outbound>,
    pub back: Back,
}

/// What is to be known when the answer comes.
#[derive(Debug, Default)]
pub(crate) struct Back {
    pub admitted: Admitted,
    /// The stream was made to report its usage; the caller did not ask.
    pub hides_usage: bool,
    /// The caller wants to be told the cost in the stream.
    pub includes_cost: bool,
    /// Where the answer may be kept.
    pub cache_key: Option<CacheKey>,
}

/// What has been read of a request's body, and how it goes out.
struct Seen {
    /// Its JSON, or the fields of its form as JSON; empty where it is neither.
    text: Bytes,
    /// The text is the whole body.
    is_whole: bool,
    out: Outbound,
    place: Option<Place>,
}

impl Way<'_> {
    /// Reads what has to be read of a request, and asks whether it may go.
    pub async fn prepare(
        &self,
        head: &Head,
        key: &Key,
        mut parts: Parts,
        body: Inbound,
        rest: &str,
    ) -> Result<Prepared, Refusal> {
        let upstream = &self.route.upstream;
        let reads_as = upstream.reads_as();
        let starts_at = |path: &str| Api::of(reads_as, path).starts_work(parts.method.as_str(), path);
        // A provider may be more lenient with its paths than whoever reads them here.
        let is_plain = starts_at(rest);
        let told = if is_plain { None } else { Some(path::lenient(rest)).filter(|told| starts_at(told)) };
        let (starts, read_path) = (is_plain || told.is_some(), told.as_deref().unwrap_or(rest));
        let is_poll = !starts && parts.method == Method::GET && is_polled(Api::of(reads_as, rest));
        if !starts && !is_poll {
            if Api::of(reads_as, rest).may_start_work(parts.method.as_str(), rest) {
                self.pass(reads_as, rest, key, &parts)?;
            }
            head.forward(&mut parts.headers, self.route)?;
            let call = Call::untold(self.plane.clone());
            let request = self.request(parts, Outbound::partly(Bytes::new(), body), rest)?;
            return Ok(Prepared::Going(Box::new(Going { call, request, back: Back::default() })));
        }
        let mut seen = self.see(head, &parts.headers, body).await?;
        self.plane.core.counters.bytes_in.add(seen.text.len() as u64);
        let text = (!seen.text.is_empty()).then_some(&seen.text[..]);
        let facts = Facts::facts(reads_as, parts.method.as_str(), read_path, None, text);
        let attribution = attribution(key, &parts.headers, text, &facts);
        head.forward(&mut parts.headers, self.route)?;
        let hides_usage = self.ask(&facts, rest, &mut parts.headers, &mut seen);
        let cache_key = self.cache_key(&seen, starts, &parts.headers, rest, &attribution);
        if let Some(cached) = cache_key.and_then(|key| self.cached(&key)) {
            let answer = self.answer_from_cache(&cached, &facts, attribution, hides_usage);
            return Ok(Prepared::Answered(answer));
        }
        let admitted =
            if starts { self.admit(&facts, &attribution, key, &seen)? } else { Admitted::default() };
        let asked_model = admitted.model.as_ref().and(facts.model.clone());
        let facts = if let Some(text) = changed(&admitted, &facts, &seen.text) {
            seen.text = text;
            parts.headers.remove(header::CONTENT_LENGTH);
            // What was put in before is put in again.
            let asking = hides_usage.then(|| ask_for_usage(&seen.text)).flatten();
            seen.out = Outbound::whole(asking.map_or_else(|| seen.text.clone(), Bytes::from));
            Facts::facts(reads_as, parts.method.as_str(), read_path, None, Some(&seen.text))
        } else {
            facts
        };
        let recorder = self.plane.core.capture.as_ref().filter(|_| starts);
        let prompt = recorder.and_then(|keeps| keeps.prompt(&upstream.name, &attribution, &seen.text));
        let plan = Plan {
            id: self.id,
            at: self.at,
            started: self.started,
            request: facts,
            asked_model,
            attribution: Arc::new(attribution),
            admitted: admitted.clone(),
            provider: upstream.provider.clone(),
            is_poll,
            prompt,
        };
        let back = Back { admitted, hides_usage, includes_cost: head.includes_cost, cache_key };
        let going = self
            .request(parts, seen.out.counted(seen.place), rest)
            .and_then(|request| Ok(Going { call: Call::open(self.plane.clone(), plan)?, request, back }));
        // Nothing goes out, and nothing will be recorded.
        going.map(Box::new).map(Prepared::Going).inspect_err(|_| {
            self.plane.core.admission.release(&self.id.to_string());
        })
    }

    /// Asks whether the call may go.
    fn admit(
        &self,
        facts: &Facts,
        attribution: &Attribution,
        key: &Key,
        seen: &Seen,
    ) -> Result<Admitted, Refusal> {
        let call_id = self.id.to_string();
        self.plane.core.admission.admit(&Ask {
            call_id: &call_id,
            at: self.at,
            provider: &self.route.upstream.provider,
            model: facts.model.as_deref(),
            request: facts,
            attribution,
            key,
            text: &seen.text,
            is_whole: seen.is_whole,
        })
    }

    /// Asks whether a request may go that might start work, but not such as could be metered.
    fn pass(&self, reads_as: &str, rest: &str, key: &Key, parts: &Parts) -> Result<(), Refusal> {
        let facts = Facts::facts(reads_as, parts.method.as_str(), rest, None, None);
        let attribution = attribution(key, &parts.headers, None, &facts);
        self.plane.core.admission.pass(&Ask {
            call_id: &self.id.to_string(),
            at: self.at,
            provider: &self.route.upstream.provider,
            model: None,
            request: &facts,
            attribution: &attribution,
            key,
            text: &[],
            is_whole: false,
        })
    }

    /// Reads as much of a body as has to be read.
    async fn see(&self, head: &Head, headers: &HeaderMap, mut body: Inbound) -> Result<Seen, Refusal> {
        Ok(match head.content_type {
            ContentType::Multipart => {
                let beginning = hold::beginning(&mut body).await?;
                let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                let fields = multipart::fields(kind.unwrap_or_default(), &beginning);
                let text = Bytes::from(fields.to_json());
                Seen { text, is_whole: false, out: Outbound::partly(beginning, body), place: None }
            }
            ContentType::Media => {
                let out = Outbound::partly(Bytes::new(), body);
                Seen { text: Bytes::new(), is_whole: false, out, place: None }
            }
            ContentType::Text => {
                let (held, place) = hold::whole(body, &self.plane.core).await?;
                Seen { text: held.clone(), is_whole: true, out: Outbound::whole(held), place }
            }
        })
    }

    /// Puts the usage question into a chat stream that does not ask it.
    fn ask(&self, facts: &Facts, rest: &str, headers: &mut HeaderMap, seen: &mut Seen) -> bool {
        let is_open = facts.api == Api::Chat && facts.stream && !facts.include_usage && seen.is_whole;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        if !is_open || !self.route.upstream.may_ask_usage(path, query) {
            return false;
        }
        let Some(asking) = ask_for_usage(&seen.text) else { return false };
        seen.out = Outbound::whole(Bytes::from(asking));
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        true
    }

    /// Where the answer may be found or kept; absent where that is not wanted.
    fn cache_key(
        &self,
        seen: &Seen,
        starts: bool,
        headers: &HeaderMap,
        rest: &str,
        attribution: &Attribution,
    ) -> Option<CacheKey> {
        let upstream = &self.route.upstream;
        self.plane.core.cache.as_ref()?;
        upstream.cache_ttl_s?;
        if !starts || !seen.is_whole {
            return None;
        }
        let credential = headers.get(&self.route.auth).filter(|_| upstream.passthrough);
        let credential = credential.map(HeaderValue::as_bytes);
        let project = attribution.project.as_deref();
        Some(CacheKey::of(&upstream.name, rest, project, credential, headers, &seen.text))
    }

    /// The request as it goes out.
    fn request(&self, parts: Parts, body: Outbound, rest: &str) -> Result<Request<Outbound>, Refusal> {
        let bad = |_| Refusal::new(Reason::BadRequest, "the request's path cannot be sent");
        let path = match &self.route.target {
            Some(target) => target.path(rest).map_err(bad)?,
            None => rest.parse().map_err(bad)?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = path.into();
        *request.headers_mut() = parts.headers;
        Ok(request)
    }
}

/// Whether a `GET` there may bring the usage of work that was started before.
fn is_polled(api: Api) -> bool {
    !matches!(api, Api::Other | Api::CountTokens | Api::Moderation | Api::Realtime)
}
