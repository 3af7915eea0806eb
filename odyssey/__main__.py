"""``python -m odyssey``: the commands of `odyssey.cli.main`."""

if __name__ == "__main__":
    from odyssey.cli import startup

    startup.prepare()

    from odyssey.cli.main import run

    run("python -m odyssey")
