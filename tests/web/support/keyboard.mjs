// Somebody who has no mouse.

import assert from 'node:assert/strict';

/** What has the focus, and whether that can be seen. */
function focused(wanted) {
  const has = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(has);
  const place = has.getBoundingClientRect();
  return {
    isWanted: has === wanted,
    isSeen: has === document.body || (outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2
      && place.width > 0 && place.bottom > 0 && place.top < window.innerHeight),
    html: has.outerHTML.slice(0, 120),
  };
}

/** Presses Tab until the element has the focus; wherever the focus is on the way, it can be seen. */
export async function tabTo(page, locator) {
  await locator.waitFor();
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    const now = await locator.evaluate(focused);
    assert.ok(now.isSeen, `the focus cannot be seen on ${now.html} of ${page.url()}`);
    if (now.isWanted) return;
  }
  assert.fail(`Tab does not lead to ${locator} on ${page.url()}`);
}

/** Goes to a field and types. */
export async function typeInto(page, locator, text) {
  await tabTo(page, locator);
  await page.keyboard.insertText(text);
}

/** Goes to a button, a link or a summary and presses it. */
export async function press(page, locator, key = 'Enter') {
  await tabTo(page, locator);
  await page.keyboard.press(key);
  await page.waitForLoadState();
}
