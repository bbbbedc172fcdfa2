"""Progress of a stage and its self-contained HTML report.

- `Progress`       share done and time left, for a terminal, a pod log and the runner's live display
- `Report`         sections of text, tables, plots and samples -> one HTML file without any outside reference
- `page`, `CSS`    a whole page around such sections, and its style sheet, for reports that join several
"""

from components.reporting.progress import PROGRESS_FILE, Progress
from components.reporting.report import CSS, Report, page

__all__ = ["CSS", "PROGRESS_FILE", "Progress", "Report", "page"]
