"""What an audit shows in a browser: the page of its suspects, and the sheet on which a person ticks samples."""
