"""Progress of a stage and its self-contained HTML report.

- `Progress`       share done and time left, for a terminal, a pod log and the runner's live display
- `Report`         sections of text, tables, plots and samples -> one HTML file without any outside reference
- `page`, `STYLE`  what a page around such sections is made of, for reports that join several
"""

from components.reporting.progress import PROGRESS_FILE, Progress
from components.reporting.report import STYLE, Report, page

__all__ = ["PROGRESS_FILE", "STYLE", "Progress", "Report", "page"]
