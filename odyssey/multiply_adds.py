"""How many multiply-adds a network does for one image.

A multiply-add is a product in a convolution or linear layer and its addition.  Products
with the padding are counted too, as is usual.  Biases, batch norms, relus and pooling
are not counted.
"""

from odyssey.network import Config, Network


def multiply_adds(
    network: Network, config: Config, image: tuple[int, int, int] = (3, 32, 32)
) -> int:
    """Return the multiply-adds of the forward for one image.

    Parameters
    ----------
    network : Network
        One that describes its layers.
    config : Config
        Its options.
    image : channels, height and width
    """
    graph = network.graph(config, image)
    return sum(map(graph.multiply_adds, graph.nodes.values()))
