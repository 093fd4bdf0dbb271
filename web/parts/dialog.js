// Dialogs and drawers: the browser's own modal, which traps focus and gives it back.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../lib/html.js";

/** @param {{title: any, onClose: () => void, children: any, kind?: "drawer" | "box", tools?: any}} props */
export function Dialog({ title, onClose, children, kind = "box", tools }) {
  const ref = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const outside = (/** @type {MouseEvent} */ event) => event.target === ref.current && onClose();
  return html`<dialog class=${kind} ref=${ref} aria-labelledby="dialog-title" onClick=${outside}
    onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); onClose(); }}>
    <div class="inside"><header><h2 id="dialog-title" tabindex="-1">${title}</h2><div class="tools">${tools}<button class="close" onClick=${onClose} aria-label="Close">✕</button></div></header>${children}</div>
  </dialog>`;
}
