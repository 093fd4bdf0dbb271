//! From overlapping figures to disjoint meters, and the refusal to hide what cannot be.
//!
//! A part above its whole is kept: the provider's own totals are reported beside the meters, the
//! flag names both fields, and the usage counts as inconsistent. The meters then keep the whole.

use crate::compatible;
use crate::shape::{Field, Figures};
use std::collections::BTreeMap;
use tollbook_types::{Meter, Meters, UsageError};

/// A provider's own inclusive totals by public key, such as `input_tokens`.
pub type Reported = BTreeMap<&'static str, u64>;

/// What figures came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disjoint {
    pub meters: Meters,
    pub flags: Vec<String>,
    pub inconsistent: bool,
    pub reported: Reported,
}

/// Fees and other quantities that are no tokens of the conversation.
const FEES: &[(Field, Meter)] = &[
    (Field::Citation, Meter::Citation),
    (Field::WebSearch, Meter::WebSearch),
    (Field::SocialSearch, Meter::WebSearch),
    (Field::FileSearch, Meter::FileSearch),
    (Field::DocumentSearch, Meter::FileSearch),
    (Field::CodeSession, Meter::CodeSession),
    (Field::RerankSearch, Meter::RerankSearch),
    (Field::Pages, Meter::Pages),
    (Field::Images, Meter::Images),
    (Field::AudioMs, Meter::AudioMs),
];

/// Public keys of the inclusive totals.
const KEYS: &[(Field, &str)] = &[
    (Field::Input, "input_tokens"),
    (Field::Output, "output_tokens"),
    (Field::CacheRead, "cache_read_tokens"),
    (Field::CacheWrite, "cache_write_tokens"),
    (Field::CacheWrite1h, "cache_write_1h_tokens"),
    (Field::Reasoning, "reasoning_tokens"),
    (Field::ToolPrompt, "input_tool_tokens"),
    (Field::InputAudio, "input_audio_tokens"),
    (Field::InputImage, "input_image_tokens"),
    (Field::InputVideo, "input_video_tokens"),
    (Field::OutputAudio, "output_audio_tokens"),
    (Field::OutputImage, "output_image_tokens"),
    (Field::OutputVideo, "output_video_tokens"),
];

/// The inclusive totals by public key.
pub(crate) fn reported(figures: &Figures, provider: &str) -> Reported {
    let mut figures = figures.clone();
    compatible::inclusive(&mut figures, provider);
    keyed(&figures)
}

fn keyed(figures: &Figures) -> Reported {
    KEYS.iter().filter_map(|(field, key)| Some((*key, figures.get(*field)?))).collect()
}

/// Makes the figures disjoint.
pub(crate) fn disjoint(mut figures: Box<Figures>, provider: &str) -> Disjoint {
    compatible::inclusive(&mut figures, provider);
    let flags = std::mem::take(&mut figures.flags);
    let mut out = Disjoint { flags, inconsistent: figures.damaged, ..Disjoint::default() };
    input_side(&figures, &mut out);
    output_side(&figures, &mut out);
    for (field, meter) in FEES {
        if let Some(quantity) = figures.get(*field) {
            out.meters.add(*meter, quantity);
        }
    }
    if out.inconsistent {
        out.reported = keyed(&figures);
    }
    out
}

/// Parts of a whole, at most: eleven for the input.
const PARTS: usize = 12;

/// What is left of a whole while its parts are taken out of it.
struct Whole<'a> {
    name: &'static str,
    quantity: u64,
    left: u64,
    taken: [&'static str; PARTS],
    taken_count: usize,
    taken_quantity: u64,
    out: &'a mut Disjoint,
}

impl Whole<'_> {
    /// Takes a part out; more than is left is flagged, and what is left is what it gets.
    fn take(&mut self, name: &'static str, quantity: u64, meter: Meter, present: bool) {
        if !present {
            return;
        }
        if quantity > 0 {
            self.taken[self.taken_count % PARTS] = name;
            self.taken_count += 1;
            self.taken_quantity = self.taken_quantity.saturating_add(quantity);
        }
        let fits = quantity.min(self.left);
        if fits < quantity {
            let error = UsageError {
                part: self.taken[..self.taken_count.min(PARTS)].join(" + "),
                part_quantity: self.taken_quantity,
                whole: self.name.to_owned(),
                whole_quantity: self.quantity,
            };
            self.out.flags.push(format!("usage_inconsistent: {error}"));
            self.out.inconsistent = true;
        }
        self.left -= fits;
        self.out.meters.add(meter, fits);
    }
}

fn input_side(figures: &Figures, out: &mut Disjoint) {
    let reads = figures.or_zero(Field::CacheRead);
    let mut writes = writes(figures, out);
    // A cached part that is reported without a whole is its own whole.
    let Some(quantity) = figures.get(Field::Input).or((reads > 0).then_some(reads)) else { return };
    let name = if figures.name(Field::Input).is_empty() { "input" } else { figures.name(Field::Input) };
    let cached = cached_media(figures, quantity, reads.saturating_add(writes.iter().map(|(_, q)| q).sum()));
    let cached_sum = cached.iter().sum::<u64>();
    let mut whole =
        Whole { name, quantity, left: quantity, taken: [""; PARTS], taken_count: 0, taken_quantity: 0, out };
    let has_read = figures.get(Field::CacheRead).is_some();
    whole.take(figures.name(Field::CacheRead), reads.saturating_sub(cached_sum), Meter::CacheRead, has_read);
    for (meter, quantity) in writes.drain(..) {
        whole.take(figures.name(Field::CacheWrite), quantity, meter, true);
    }
    let tool = figures.get(Field::ToolPrompt);
    whole.take(figures.name(Field::ToolPrompt), tool.unwrap_or(0), Meter::ToolPrompt, tool.is_some());
    let media = [
        (Field::InputAudio, Meter::InputAudio, Meter::CacheReadAudio),
        (Field::InputImage, Meter::InputImage, Meter::CacheReadImage),
        (Field::InputVideo, Meter::InputVideo, Meter::CacheReadVideo),
    ];
    for ((field, fresh, read), cached) in media.into_iter().zip(cached) {
        let all = figures.or_zero(field).max(cached);
        whole.take(figures.name(field), cached, read, cached > 0);
        whole.take(figures.name(field), all - cached, fresh, figures.get(field).is_some());
    }
    let left = whole.left;
    out.meters.add(Meter::Input, left);
}

/// Cache writes by time to live; what the total has above its parts has none.
fn writes(figures: &Figures, out: &mut Disjoint) -> Vec<(Meter, u64)> {
    let parts = [(Field::CacheWrite5m, Meter::CacheWrite5m), (Field::CacheWrite1h, Meter::CacheWrite1h)];
    let mut found: Vec<(Meter, u64)> =
        parts.iter().filter_map(|(field, meter)| Some((*meter, figures.get(*field)?))).collect();
    let sum = found.iter().fold(0u64, |sum, (_, quantity)| sum.saturating_add(*quantity));
    let Some(total) = figures.get(Field::CacheWrite) else { return found };
    if sum > total {
        let error = UsageError {
            part: format!("{} + {}", figures.name(Field::CacheWrite5m), figures.name(Field::CacheWrite1h)),
            part_quantity: sum,
            whole: figures.name(Field::CacheWrite).to_owned(),
            whole_quantity: total,
        };
        out.flags.push(format!("usage_inconsistent: {error}"));
        out.inconsistent = true;
        return vec![(Meter::CacheWrite, total)];
    }
    if found.is_empty() || total > sum {
        found.insert(0, (Meter::CacheWrite, total - sum));
    }
    found
}

/// How much of each medium (audio, image, video) was read from the cache. Where the provider does
/// not say, no more than must have been: what does not fit beside the cached tokens otherwise.
fn cached_media(figures: &Figures, whole: u64, cached: u64) -> [u64; 3] {
    let told = [Field::CacheAudio, Field::CacheImage, Field::CacheVideo].map(|field| figures.get(field));
    let media = [Field::InputAudio, Field::InputImage, Field::InputVideo].map(|field| figures.or_zero(field));
    let reads = figures.or_zero(Field::CacheRead);
    if told.iter().any(Option::is_some) {
        let mut left = reads;
        // A document is counted under its own name in the prompt and as images in the cache.
        return [0, 1, 2].map(|at: usize| {
            let fits = told[at].unwrap_or(0).min(media[at]).min(left);
            left -= fits;
            fits
        });
    }
    let tool = figures.or_zero(Field::ToolPrompt);
    let all = media.iter().fold(cached.saturating_add(tool), |sum, part| sum.saturating_add(*part));
    let mut overlap = all.saturating_sub(whole).min(reads);
    if cached > whole {
        // That is no overlap but a contradiction.
        overlap = 0;
    }
    media.map(|part| {
        let fits = part.min(overlap);
        overlap -= fits;
        fits
    })
}

fn output_side(figures: &Figures, out: &mut Disjoint) {
    let Some(quantity) = figures.get(Field::Output) else { return };
    let name = if figures.name(Field::Output).is_empty() { "output" } else { figures.name(Field::Output) };
    let mut whole =
        Whole { name, quantity, left: quantity, taken: [""; PARTS], taken_count: 0, taken_quantity: 0, out };
    for (field, meter) in [
        (Field::Reasoning, Meter::Reasoning),
        (Field::OutputAudio, Meter::OutputAudio),
        (Field::OutputImage, Meter::OutputImage),
        (Field::OutputVideo, Meter::OutputVideo),
    ] {
        whole.take(figures.name(field), figures.or_zero(field), meter, figures.get(field).is_some());
    }
    let left = whole.left;
    out.meters.add(Meter::Output, left);
}
