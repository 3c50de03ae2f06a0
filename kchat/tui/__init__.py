"""``kchat chat``: a window to read and write in, and its plain form without one.

=============  ==========================================================================================
module         holds
=============  ==========================================================================================
``reports``    what the threads at the broker tell the window, as types; ``inbox`` brings it there
``worker``     the two threads of a room: one receives, one sends
``unseen``     what was sent and did not come back from the room yet
``session``    what a window does, without a window; ``options`` is what it is opened with
``room``       a room as the window knows it: its ``timeline``, its ``outbox``, what is unread
``names``      how senders are called, and in which colour
``words``      links, mentions and highlighted words in a text
``layout``     a message as the rows of a screen, without Textual
``slash``      ``/join ops``: what is typed at the prompt
``typed``      what was typed before, and names to complete
``read_marks`` where one left off, from one run to the next
``view``       what of a room is on the screen, and moving there
``people``     who is in a room, as the window asks for it
``app``        the window itself, with its widgets; with these, the only part that imports Textual
``alt_keys``   keys with Alt as most terminals send them
``plain``      ``--plain``, line by line
=============  ==========================================================================================

All but ``worker`` are used by one thread, that of the window.
"""
