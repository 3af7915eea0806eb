"""A table of a network's layers: output shapes, parameters, multiply-adds, activations.

A row is a convolution with the batch norm after it, or another layer that has tensors
or a name of its own; what follows it without a name, a relu or a pooling, belongs to
its row.

Activations are the arrays that the forward keeps for the backward:

    convolution, linear   its input, unless that is relu(batch norm(convolution)) and
                          goes nowhere else: then the backward normalises once more
    batch norm, pooling   its input
    gelu                  its input
    relu                  its output, unless a batch norm came before it

Masks of dropout, which is noise of training, are not in a network's graph.
"""

from math import prod
from typing import NamedTuple

from odyssey.graph import IMAGES, Graph, Node


class Row(NamedTuple):
    """A row of the table."""

    name: str
    output: tuple[int, ...]  # of one image
    parameters: int
    multiply_adds: int = 0
    kept: int = 0  # bytes of one image's activations that the backward needs


def layer_rows(graph: Graph, element_size: int = 4) -> list[Row]:
    """Return a row for each layer; the first is that of the image.

    Parameters
    ----------
    graph : the network's
    element_size : bytes of a number of the activations
    """
    kept = kept_edges(graph)
    rows = {IMAGES: Row("image", graph.shapes[IMAGES], 0)}  # by their first edge
    row_of = {IMAGES: IMAGES}  # of each edge
    for edge, node in graph.nodes.items():
        joins = _joins(graph, node)
        if node.is_named and not joins:
            place = edge
            averaged = node.operation == "global_avgpool2d"
            rows[place] = Row(edge, node.shape[:1] if averaged else node.shape, 0)
        else:
            place = row_of[node.inputs[0]]
        row_of[edge], row = place, rows[place]
        sizes = [prod(graph.parameters.get(t, (0,))) for t in node.tensors.values()]
        rows[place] = row._replace(
            name=f"{row.name} {edge}" if joins else row.name,
            parameters=row.parameters + sum(sizes),
            multiply_adds=row.multiply_adds + graph.multiply_adds(node),
        )
    for edge in kept:
        row, size = rows[row_of[edge]], element_size * prod(graph.shapes[edge])
        rows[row_of[edge]] = row._replace(kept=row.kept + size)
    return list(rows.values())


def kept_edges(graph: Graph) -> set[str]:
    """Return the edges whose arrays the backward needs."""
    kept = set()
    for node in graph.nodes.values():
        x = node.inputs[0]
        if node.operation == "relu":
            if _operation(graph, x) != "batch_norm2d":
                kept.add(node.name)
        elif node.operation in ("conv2d", "linear"):
            if not _is_found_again(graph, x):
                kept.add(_memory(graph, x))
        elif node.operation not in ("add", "subsample", "flatten", "scale"):
            kept.add(_memory(graph, x))
    return kept


def _operation(graph: Graph, edge: str) -> str | None:
    return graph.nodes[edge].operation if edge in graph.nodes else None


def _memory(graph: Graph, edge: str) -> str:
    """Return the edge whose memory an edge shares: a reshape makes no array."""
    while _operation(graph, edge) == "flatten":
        edge = graph.nodes[edge].inputs[0]
    return edge


def _is_found_again(graph: Graph, edge: str) -> bool:
    """Tell whether the backward computes the edge from the input of its batch norm."""
    for operation in ("relu", "batch_norm2d"):
        if _operation(graph, edge) != operation or _readers(graph, edge) > 1:
            return False
        (edge,) = graph.nodes[edge].inputs
    return _operation(graph, edge) == "conv2d"


def _readers(graph: Graph, edge: str) -> int:
    return sum(node.inputs.count(edge) for node in graph.nodes.values())


def _joins(graph: Graph, node: Node) -> bool:
    """Tell whether a batch norm stands in the row of the convolution before it."""
    if node.operation != "batch_norm2d":
        return False
    (x,) = node.inputs
    if _operation(graph, x) == "maxpool2d":
        (x,) = graph.nodes[x].inputs
    return _operation(graph, x) == "conv2d"
