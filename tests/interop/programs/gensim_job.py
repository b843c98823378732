"""A job for gensim's distributed mode: latent semantic indexing by several workers. Knows nothing of pyrolite.

Prints the singular values found by the workers, then those found by one process.
"""

import Pyro4
from gensim import corpora, models

TEXTS = [
    "human interface computer",
    "survey user computer system response time",
    "eps user interface system",
    "system human system eps",
    "user response time",
    "trees",
    "graph trees",
    "graph minors trees",
    "graph minors survey",
]

documents = [text.split() for text in TEXTS] * 20
dictionary = corpora.Dictionary(documents)
corpus = [dictionary.doc2bow(document) for document in documents]
print("library", Pyro4.__name__)
for distributed in (True, False):
    model = models.LsiModel(corpus, id2word=dictionary, num_topics=2, chunksize=30, distributed=distributed)
    print("distributed" if distributed else "local", *(f"{value:.1f}" for value in model.projection.s))
