"""The labs: one Python file for each longer page in pages/, and their JavaScript modules in web/."""
