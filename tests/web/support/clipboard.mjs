// What is copied to be pasted elsewhere.

/** Options of a visitor whose browser lets the page write to the clipboard. */
export const CLIPBOARD = { permissions: ['clipboard-read', 'clipboard-write'] };

/** Presses the first button of the page that copies a text, and gives what the clipboard has then. */
export async function copied(page) {
  await page.getByRole('button', { name: 'Copy' }).first().click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  return page.evaluate(() => navigator.clipboard.readText());
}
