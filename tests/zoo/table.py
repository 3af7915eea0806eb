"""Print the zoo as a table: python -m zoo.table, with tests on the path."""

from zoo import ZOO

HEAD = "| Operation | What is wrong | What the diagnosis says | |\n|---|---|---|---|"


def verdict(wrong) -> str:
    """Say whether a name is right: one that is not given is neither."""
    if wrong.names() == ("unknown",):
        return "no name"
    return "right" if sorted(wrong.names()) == sorted(wrong.named) else "**wrong**"


def rows() -> list[str]:
    return [
        f"| `{wrong.operation}` | {wrong.fault} | {', '.join(wrong.names())} | "
        f"{verdict(wrong)} |"
        for wrong in sorted(ZOO, key=lambda wrong: wrong.operation)
    ]


def table() -> str:
    return "\n".join([HEAD, *rows()])


def summary() -> str:
    verdicts = [verdict(wrong) for wrong in ZOO]
    return (
        f"Of {len(ZOO)} wrong backwards, {verdicts.count('right')} are named rightly, "
        f"{verdicts.count('no name')} get a description without a name, and "
        f"{verdicts.count('**wrong**')} get a wrong name."
    )


if __name__ == "__main__":
    print(f"{table()}\n\n{summary()}")
