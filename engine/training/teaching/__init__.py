"""Training a retriever on questions and passages, which other runs then take as their teacher."""
