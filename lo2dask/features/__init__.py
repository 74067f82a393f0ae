"""What a sequence is turned into: masks, templates, words, trigrams, bags, figures and matrices."""
