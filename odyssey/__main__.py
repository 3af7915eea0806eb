"""``odyssey`` and ``python -m odyssey``: the commands of `odyssey.cli.main`."""


def run(prog_name: str = "odyssey") -> None:
    """Run the command that the command line names, ready for signals from now on."""
    from odyssey.cli import startup

    startup.prepare()

    from odyssey.cli.main import main

    startup.run(lambda: main(prog_name=prog_name))


if __name__ == "__main__":
    run("python -m odyssey")
