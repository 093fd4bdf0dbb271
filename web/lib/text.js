// Names that strangers chose, made safe to look at: what would be invisible or turn the line around is shown as what it is.

const STRANGE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/** @param {string} text */
export const visible = (text) => text.replace(STRANGE, (found) => `\\u{${found.codePointAt(0)?.toString(16)}}`);

/** The same of a text of several lines, which may be indented. @param {string} text */
export const lines = (text) => text.split(/\r?\n/).map((line) => line.split("\t").map(visible).join("\t")).join("\n");

/** Has the browser save a text as a file. @param {string} name @param {string} text @param {string} kind */
export function save(name, text, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * Rows as CSV (RFC 4180). Spreadsheets take what begins with these for a formula; a quote before it keeps it text.
 * @param {string[]} head
 * @param {(string | number | null | undefined)[][]} rows
 */
export function csv(head, rows) {
  const cell = (/** @type {string | number | null | undefined} */ value) => {
    let text = String(value ?? "");
    if (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A word of a shell's line, quoted where it has to be. @param {string} text */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
