/** Bounds for text that goes into logs and messages: what is cut says how much there was. */

/** Cuts a text to at most `limit` UTF-16 units and says how long it was. */
export function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… [cut: ${text.length} characters in all]`;
}
