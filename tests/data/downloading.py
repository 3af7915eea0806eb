"""Download into a data folder, with the defaults of the tests."""

from archives import md5_of

from odyssey.data.download import download_cifar10
from odyssey.data.observer import Observer


class News(Observer):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def get(data_dir, content, *servers, **options):
    """Download from servers; return the news."""
    options = {"md5": md5_of(content), "sleep": lambda seconds: None, **options}
    news = options.setdefault("observer", News())
    urls = [server.url for server in servers]
    dataset = download_cifar10(data_dir, urls=urls, **options)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (20, 4)
    return news.lines


def present(data_dir):
    """Return the names in the data folder."""
    return sorted(path.name for path in data_dir.iterdir())
