namespace RedisFailover.ZooKeeper;

/// <summary>
/// What the frames of one connection mean: replies to those who asked, events to those who watch. Called by the connection's reader, one
/// frame at a time.
/// </summary>
/// <param name="connection">The connection.</param>
/// <param name="parts">The session's.</param>
/// <param name="lifetime">Told when the credentials are judged.</param>
/// <param name="watchesToSet">How many requests set the watches anew on this connection.</param>
internal sealed class FrameHandler(ServerConnection connection, SessionParts parts, SessionLifetime lifetime, int watchesToSet)
{
    private int _watchesToSet = watchesToSet;

    /// <summary>Whether the server has said anything.</summary>
    internal bool HasHeard { get; private set; }

    /// <exception cref="IOException">The credentials were refused: the session is over.</exception>
    /// <exception cref="InvalidDataException">The frame is none that is due.</exception>
    internal void Handle(ReadOnlySpan<byte> frame)
    {
        HasHeard = true;
        var reader = new JuteReader(frame);
        var header = new ReplyHeader(reader.Int32(), reader.Int64(), (ZooKeeperErrorCode)reader.Int32());
        switch (header.Xid)
        {
            case Xid.Notification:
                var type = (WatchedEventType)reader.Int32();
                _ = reader.Int32();
                parts.Watches.Tell(type, reader.String());
                return;
            case Xid.Ping:
                return;
            default:
                OnReply(header, ref reader);
                return;
        }
    }

    private void OnReply(in ReplyHeader header, ref JuteReader body)
    {
        Request request = connection.TakeFor(header.Xid);
        Seen(request, header.Zxid);
        try
        {
            request.Reply(header, ref body, parts.Watches, connection.Handoff);
        }
        catch (InvalidDataException e)
        {
            request.Fail(ZooKeeperErrorCode.ConnectionLoss, sent: true, e);
            throw;
        }

        if (request is AuthRequest auth)
        {
            OnAuthenticated(auth, header.Error);
        }
    }

    /// <summary>
    /// How far this session has seen the servers' history, which is where the next server begins to look for missed events. An event does
    /// not count, though servers of 3.9 say its zxid: others of the same transaction may follow it. Nor does a part of the watches that are
    /// being set anew: what the later parts have missed since the last connection would be taken for seen.
    /// </summary>
    private void Seen(Request request, long zxid)
    {
        _watchesToSet -= request is SetWatchesRequest ? 1 : 0;
        if (zxid > 0 && _watchesToSet == 0)
        {
            parts.Identity.LastZxid = zxid;
        }
    }

    private void OnAuthenticated(AuthRequest request, ZooKeeperErrorCode outcome)
    {
        if (outcome == ZooKeeperErrorCode.AuthFailed)
        {
            lifetime.RefuseCredentials(request);

            // Nothing behind it is handled any more: a watch of an ended session would tell nobody of its end.
            throw new IOException(request.Refusal);
        }

        if (!connection.Authenticates)
        {
            lifetime.Establish(connection.Server);
        }
    }
}
