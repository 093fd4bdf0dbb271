// Markup as tagged templates: what stands in `${}` is text, never markup.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
