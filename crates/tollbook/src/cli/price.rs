//! The options of `tollbook price`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum PriceCommand {
    /// The models that have a price, or those whose name contains a text
    List {
        /// Part of a model's name
        text: Option<String>,
        /// Only this provider's
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
        /// The instant whose prices are shown [default: now]
        #[arg(long, value_name = "INSTANT")]
        at: Option<String>,
    },
    /// Every price of a model: by date, tier and circumstance
    Show {
        /// The model
        model: String,
        /// Only this provider's
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
    },
    /// Which rule decides the price of a model's name, and which came close
    Match {
        /// The model, as a provider's answer names it
        model: String,
        /// The provider [default: the one that knows the model]
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
        /// The instant of the call [default: now]
        #[arg(long, value_name = "INSTANT")]
        at: Option<String>,
        /// What else the price depends on, such as service_tier=flex; may be repeated
        #[arg(short, long = "condition", value_name = "KEY=VALUE")]
        condition: Vec<String>,
    },
    /// What a call would cost
    Calc(Box<CalcArgs>),
    /// Take over prices from a public feed (genai-prices or LiteLLM), for this data directory
    Import {
        /// The feed, as it is published
        file: PathBuf,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Check a price file, or every file that is configured
    Check {
        /// The file [default: those of [[prices]]]
        file: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub struct CalcArgs {
    /// The model
    pub model: String,
    /// The provider [default: the one that knows the model]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// The instant of the call [default: now]
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<String>,
    #[command(flatten)]
    pub quantities: QuantityArgs,
    /// The service tier, such as batch, flex or priority
    #[arg(long, value_name = "NAME")]
    pub service_tier: Option<String>,
    /// What else the price depends on, such as region=eu; may be repeated
    #[arg(short, long = "condition", value_name = "KEY=VALUE")]
    pub condition: Vec<String>,
}

/// Quantities as a provider reports them: totals include their parts.
#[derive(Args, Clone, Debug, Default)]
pub struct QuantityArgs {
    /// All input, cache, audio and image included
    #[arg(long, value_name = "N")]
    pub input_tokens: Option<u64>,
    /// All output, reasoning, audio and image included
    #[arg(long, value_name = "N")]
    pub output_tokens: Option<u64>,
    /// Input read from a cache
    #[arg(long, value_name = "N")]
    pub cache_read_tokens: Option<u64>,
    /// Input written to a cache, whatever its time to live
    #[arg(long, value_name = "N")]
    pub cache_write_tokens: Option<u64>,
    /// Of that, kept for five minutes
    #[arg(long, value_name = "N")]
    pub cache_write_5m_tokens: Option<u64>,
    /// Of that, kept for an hour
    #[arg(long, value_name = "N")]
    pub cache_write_1h_tokens: Option<u64>,
    /// Output that is reasoning
    #[arg(long, value_name = "N")]
    pub reasoning_tokens: Option<u64>,
    /// Input that is audio
    #[arg(long, value_name = "N")]
    pub input_audio_tokens: Option<u64>,
    /// Input that is audio and read from a cache
    #[arg(long, value_name = "N")]
    pub cache_read_audio_tokens: Option<u64>,
    /// Output that is audio
    #[arg(long, value_name = "N")]
    pub output_audio_tokens: Option<u64>,
    /// Input that is an image
    #[arg(long, value_name = "N")]
    pub input_image_tokens: Option<u64>,
    /// Output that is an image
    #[arg(long, value_name = "N")]
    pub output_image_tokens: Option<u64>,
    /// Input that is video
    #[arg(long, value_name = "N")]
    pub input_video_tokens: Option<u64>,
    /// Input that tools brought
    #[arg(long, value_name = "N")]
    pub input_tool_tokens: Option<u64>,
    /// Any other quantity, such as web_search=3 or images=2; may be repeated
    #[arg(long = "meter", value_name = "NAME=N")]
    pub meter: Vec<String>,
}
