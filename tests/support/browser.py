"""Airflow's UI in headless Chromium, as somebody sees it who reads, clicks and types."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
IMAGES = os.environ.get("SCREENSHOTS")  # a folder; `make screenshots` sets it
WIDTH, HEIGHT = 1280, 800
DIALOG = "//*[@role='dialog' and @data-state='open']"


class Browser:
    """A window; what it looks for it waits for, at most ``patience`` seconds.

    Args:
        address: of Airflow's UI.
        patience: for the UI; a month takes longer.
        is_watched: whether what the pages ask for and complain of is kept; see ``watched``.
    """

    def __init__(self, address: str, patience: float = 90, is_watched: bool = False) -> None:
        self.address = address
        self.patience = patience
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in (
            "--headless=new",
            "--no-sandbox",  # root has none
            "--disable-dev-shm-usage",  # containers have little of it
            "--disable-gpu",
            "--hide-scrollbars",
            "--lang=en-US",
            f"--window-size={WIDTH},{HEIGHT}",
        ):
            options.add_argument(option)
        if is_watched:
            options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        # the window's size is with its frame, even if there is none to be seen
        inner = self.driver.execute_script("return [window.innerWidth, window.innerHeight]")
        self.driver.set_window_size(2 * WIDTH - inner[0], 2 * HEIGHT - inner[1])

    def close(self) -> None:
        self.driver.quit()

    def move_to(self, timezone: str) -> None:
        """Be in another time zone from the next page on."""
        self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": timezone})

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def watched(self) -> tuple[list[str], list[str]]:
        """What was asked for, by address, and what the console says, since this was asked last."""
        events = [json.loads(one["message"])["message"] for one in self.driver.get_log("performance")]
        requests = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return requests, [one["message"] for one in self.driver.get_log("browser")]

    def until(self, is_so: Callable[[], Any], what: str, patience: float | None = None) -> Any:
        """Return what ``is_so`` returns as soon as that is true.

        The page may be redrawn while it is looked at: an element that has gone, or is covered, is looked for again.
        """
        wait = WebDriverWait(self.driver, patience or self.patience, 0.3, ignored_exceptions=[WebDriverException])
        try:
            return wait.until(lambda _: is_so())
        except TimeoutException:
            raise AssertionError(f"{what}; the page says:\n{self.text}") from None

    @property
    def text(self) -> str:
        return self.driver.execute_script("return document.body.innerText")

    def all(self, xpath: str) -> list[WebElement]:
        """What is to be seen now."""
        return [one for one in self.driver.find_elements(By.XPATH, xpath) if one.is_displayed()]

    def see(self, xpath: str, patience: float | None = None) -> WebElement:
        """Wait for an element; return it."""
        return self.until(lambda: self.all(xpath), f"nothing like {xpath}", patience)[0]

    def read(self, xpath: str, *words: str, patience: float | None = None) -> str:
        """Wait until an element says all the words; return all that it says."""

        def said() -> str | None:
            (text, *_) = [one.text for one in self.all(xpath)] or [""]
            return text if all(word in text for word in words) else None

        return self.until(
            lambda: said() or (not words and said() is not None), f"{xpath} does not say {words}", patience
        )

    def click(self, xpath: str) -> None:
        self.until(lambda: [one.click() or True for one in self.all(xpath)[:1]], f"cannot click {xpath}")

    def type(self, xpath: str, text: str) -> None:
        """Type into a field in place of what is there."""
        keys = (Keys.CONTROL, "a", Keys.NULL, text)
        self.until(lambda: [one.send_keys(*keys) or True for one in self.all(xpath)[:1]], f"cannot type in {xpath}")

    def pick_date(self, label: str, day: str) -> None:
        """Set a date field of a dialog to midnight of ``day`` (``2024/01/31``)."""
        self.click(f"{DIALOG}//label[normalize-space()='{label}']/following::*[@data-testid='datetime-input'][1]")
        self.type("//input[@placeholder='YYYY/MM/DD']", day)
        self.type("//input[@placeholder='HH:mm']", "00:00")
        self.see("//input[@placeholder='HH:mm']").send_keys(Keys.ESCAPE)
        self.until(lambda: not self.all("//input[@placeholder='HH:mm']"), "the calendar stays")

    def take_picture(self, name: str) -> None:
        """Write ``name``.png, small, if screenshots are asked for."""
        if not IMAGES:
            return
        width, height = self.driver.execute_script("return [window.innerWidth, window.innerHeight]")
        mouse = ActionBuilder(self.driver)
        mouse.pointer_action.move_to_location(width // 2, height - 2).pause(2)  # away from tooltips, and all is drawn
        mouse.perform()
        picture = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        path = Path(IMAGES) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
