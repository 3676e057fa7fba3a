"""Takes the picture of `fcos ui` in docs/ui.md, in the Chromium of this machine."""

import argparse
import shutil

from playwright.sync_api import expect, sync_playwright


def main() -> None:
    """Clicks one object and takes the picture when the page says why."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="that `fcos ui` prints")
    parser.add_argument("images", nargs="+", help="files to drop; the first is shown")
    parser.add_argument("--object", type=int, default=0, help="which is clicked, from the largest")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 860), help="of the window, px")
    parser.add_argument("--dark", action="store_true", help="the dark page")
    parser.add_argument("--full", action="store_true", help="all of the page, not just the window")
    parser.add_argument("--output", required=True, help="file to write")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    width, height = arguments.size
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if arguments.dark else "light",
        )
        page.goto(arguments.url)
        page.set_input_files("#files", arguments.images)
        expect(page.locator(".entry")).to_have_count(len(arguments.images))
        expect(page.locator(".entry.waiting")).to_have_count(0, timeout=120_000)
        page.locator(".box").nth(arguments.object).click()
        expect(page.locator("#rows td").first).to_be_visible(timeout=120_000)
        page.mouse.move(0, 0)
        page.screenshot(path=arguments.output, full_page=arguments.full)
        browser.close()


if __name__ == "__main__":
    main()
