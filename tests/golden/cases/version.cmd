"$FABMARK" --version
