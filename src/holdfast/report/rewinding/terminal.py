"""What to do and the points of the path, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from holdfast.core.rewinding import Rewinding
from holdfast.report.rewinding.caveats import caveats
from holdfast.report.rewinding.table import legend, point_table, styles
from holdfast.report.rewinding.verdict import headline, verdict_of
from holdfast.report.rewinding.ways import Rewound, rewound
from holdfast.report.short import below, opened


@dataclass(frozen=True)
class TerminalRewinding:
    """A rewinding that shows as many columns as the terminal has room for, and never cuts a number.

    Attributes:
        view: What is shown.
    """

    view: Rewound

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What to do, why, what to mind, the points."""
        yield from opened(headline(self.view), verdict_of(self.view), caveats(self.view))
        yield below(point_table(self.view), options.max_width, styles(self.view))
        yield Text(legend(self.view), style="dim")
        for name, reason in self.view.found.refused.items():
            yield Text(f"No path '{name}': {reason}", style="dim")


def terminal_rewinding(found: Rewinding) -> TerminalRewinding:
    """What was found, for a terminal; the chosen point is bold."""
    return TerminalRewinding(rewound(found))
