namespace RedisFailover.ZooKeeper;

/// <summary>Credentials, sent first on every connection.</summary>
internal sealed class AuthRequest(ZooKeeperAuth auth) : Request<bool>(OpCode.Auth)
{
    internal string Scheme => auth.Scheme;

    internal string Refusal => $"the server refused the credentials of scheme {auth.Scheme}, and the session is over";

    protected override void WriteBody(JuteWriter writer, string chroot)
    {
        writer.Int32(0);
        writer.String(auth.Scheme);
        writer.Buffer(auth.Credentials);
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out bool result, out ZooKeeperException? error)
    {
        result = header.Error == ZooKeeperErrorCode.Ok;
        error = header.Error == ZooKeeperErrorCode.AuthFailed ? new ZooKeeperException(header.Error, Name, null, detail: Refusal) : null;
        return result;
    }
}

/// <summary>
/// Tells a server which watches the session holds. It answers with events for everything that changed after <c>relativeZxid</c>.
/// </summary>
internal sealed class SetWatchesRequest : Request<bool>
{
    private readonly long _relativeZxid;
    private readonly List<string>[] _paths = [[], [], []];

    private SetWatchesRequest(long relativeZxid)
        : base(OpCode.SetWatches) => _relativeZxid = relativeZxid;

    /// <summary>
    /// As many requests as needed, each below the size given. All carry the same zxid: nothing between them can be missed.
    /// </summary>
    internal static List<SetWatchesRequest> For(WatchTable watches, long relativeZxid, int chunkBytes)
    {
        List<SetWatchesRequest> requests = [];
        int bytes = chunkBytes;
        foreach (WatchKind kind in (ReadOnlySpan<WatchKind>)[WatchKind.Data, WatchKind.Existence, WatchKind.Children])
        {
            foreach (string path in watches.Paths(kind))
            {
                int size = 4 + System.Text.Encoding.UTF8.GetByteCount(path);
                if (bytes + size > chunkBytes)
                {
                    requests.Add(new SetWatchesRequest(relativeZxid));
                    bytes = 28;
                }

                bytes += size;
                requests[^1]._paths[(int)kind - 1].Add(path);
            }
        }

        return requests;
    }

    protected override void WriteBody(JuteWriter writer, string chroot)
    {
        writer.Int64(_relativeZxid);
        foreach (WatchKind kind in (ReadOnlySpan<WatchKind>)[WatchKind.Data, WatchKind.Existence, WatchKind.Children])
        {
            List<string> paths = _paths[(int)kind - 1];
            writer.Int32(paths.Count);
            foreach (string path in paths)
            {
                writer.String(path);
            }
        }
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out bool result, out ZooKeeperException? error)
    {
        (result, error) = (header.Error == ZooKeeperErrorCode.Ok, null);
        return result;
    }
}
