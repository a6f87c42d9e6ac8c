"""A training room as a process whose workers follow a script: `python -m tests.training.scripted_room`."""

from __future__ import annotations

import sys
from contextlib import closing

from services.host import read_settings, serve
from services.host.database import open_database
from services.training.__main__ import MIGRATIONS, build, endpoints
from services.training.neighbours import Neighbours
from services.training.settings import TrainingSettings
from tests.training.crews import COMMAND


def main() -> int:
    settings = read_settings(TrainingSettings, "training")
    with (
        open_database(settings.database_url, migrations=MIGRATIONS) as database,
        closing(Neighbours(endpoints(settings))) as rooms,
    ):
        return serve(build(settings, database, rooms, COMMAND), settings)


if __name__ == "__main__":
    sys.exit(main())
