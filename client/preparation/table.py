"""What was prepared, in the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from client.preparation.content import SiteContent
from shared.reporting.names import shorten


def prepared_table(content: SiteContent) -> Table:
    """Return how many patients each task can use."""
    kind = "synthetic patients" if content.synthetic else "patients"
    used = content.patients - content.unused
    table = Table(
        title=f"{escape(shorten(content.name))}: {used} of {content.patients} {kind} prepared",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("Task")
    for name in ("Usable", "With event or MVI", "With three phases"):
        table.add_column(name, justify="right")
    for count in content.tasks:
        table.add_row(count.name, str(count.usable), str(count.positive), str(count.complete))
    return table
