// Names that strangers might choose: markup, code, escapes, bidirectional text, what is invisible, what is long.
const plain = [
  "<script>globalThis.pwned=1</script>", "<img src=x onerror=globalThis.pwned=1>", "<svg onload=globalThis.pwned=1>", "<svg/onload=globalThis.pwned=1//", "\"><img src=x onerror=globalThis.pwned=1>",
  "'><script>globalThis.pwned=1</script>", "</textarea><script>globalThis.pwned=1</script>", "</title><script>globalThis.pwned=1</script>", "<iframe srcdoc='<script>parent.pwned=1</script>'>", "<a href='javascript:globalThis.pwned=1'>x</a>",
  "javascript:globalThis.pwned=1", "data:text/html,<script>globalThis.pwned=1</script>", "<math><mtext><img src=x onerror=globalThis.pwned=1>", "<style>*{display:none}</style>", "<link rel=stylesheet href=//x.invalid/a.css>",
  "<base href=//x.invalid/>", "<meta http-equiv=refresh content=0>", "<form action=//x.invalid><button>x", "<details open ontoggle=globalThis.pwned=1>", "<input autofocus onfocus=globalThis.pwned=1>",
  "<body onload=globalThis.pwned=1>", "<object data=x>", "<embed src=x>", "<video><source onerror=globalThis.pwned=1>", "<marquee onstart=globalThis.pwned=1>",
  "&lt;b&gt;", "&#60;script&#62;", "&amp;", "<!-- ", "-->", "<![CDATA[x]]>", "<?php echo 1 ?>", "{{7*7}}", "${7*7}", "`${globalThis.pwned=1}`", "#{7*7}", "<%= 7*7 %>", "{%raw%}", "[[${7*7}]]",
  "'; DROP TABLE entries; --", "\" OR 1=1 --", "1; SELECT pg_sleep(9)", "../../etc/passwd", "..\\..\\windows", "%00", "%0d%0aSet-Cookie:x=1", "a,b;c\"d'e", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)",
  "__proto__", "constructor", "toString", "null", "undefined", "NaN", "true", "0", "-1", "1e999", "%s%s%n", "a:b", "!x", "a=b&c=d", "a#b?c", "user name with  two blanks", "😀👩‍👩‍👧‍👦🏳️‍🌈", "Ünïcödé", "日本語のなまえ", "x̷̢̛͎̱z̷a̴l̸g̶o̷",
  "أحمد", "שלום עולם", "ﷺ", "ｆｕｌｌｗｉｄｔｈ", "İstanbul ıI", "ß ẞ ﬁ", `long-${"x".repeat(240)}`,
];
const strange = ["\u202eevil\u202c", "a\u2066b\u2069c", "zero\u200bwidth", "soft\u00adhyphen", "bom\ufeffhere", "\u200fright", "line\u2028sep", "para\u2029sep", "\u061carabic-mark", "tag\u2060joiner"];

export const names = [...plain, ...strange];

/** As the dashboard shows them: what would be invisible is written out. */
export const shown = (name) => name.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu, (found) => `\\u{${found.codePointAt(0).toString(16)}}`);
