"$FABMARK" serve --help
