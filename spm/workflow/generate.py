"""Write the files that are generated from the models and the table schemas.

python -m spm.workflow.generate

workflow/schemas/config.schema.json, the comments of config.yaml, docs/config.md, docs/tables.md and
docs/pretrained.md.
"""

import sys

from spm.base.errors import UserError
from spm.base.tables import atomic_write
from spm.workflow import (
    config_file,
    config_reference,
    pretrained_reference,
    schema,
    tables_reference,
)

GENERATORS = (config_file, schema, config_reference, tables_reference, pretrained_reference)


def main() -> None:
    """Write all of them."""
    for generator in GENERATORS:
        content = generator.text()
        with atomic_write(generator.FILE) as part:
            part.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
