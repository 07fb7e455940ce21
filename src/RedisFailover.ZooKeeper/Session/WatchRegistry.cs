namespace RedisFailover.ZooKeeper;

/// <summary>
/// The watches of one session by the paths that its users know, and the telling: each watcher once, in the order of the events. Watchers
/// are told by the session's loop alone; anybody may lose interest.
/// </summary>
internal sealed class WatchRegistry(string chroot, CallbackQueue callbacks)
{
    private readonly WatchTable _table = new();
    private readonly List<Watcher> _told = [];
    private Handoff? _handoff;

    /// <summary>What has been asked for, by server path: to be set anew on the next server.</summary>
    internal WatchTable Table => _table;

    /// <summary>Users' callbacks are run by this connection's reader from now on.</summary>
    internal void TellThrough(Handoff handoff) => _handoff = handoff;

    internal string ToClientPath(string serverPath) => ZnodePath.Strip(chroot, serverPath);

    internal void Register(WatchKind kind, string clientPath, Watcher? watcher)
    {
        if (watcher is not null)
        {
            _table.Add(kind, ToServerPath(clientPath), watcher.Value);
        }
    }

    /// <summary>The watcher will not be told.</summary>
    internal void Forget(string clientPath, Watcher watcher) => _table.Forget(ToServerPath(clientPath), watcher);

    /// <summary>An event has come: whoever waited for it is told.</summary>
    internal void Tell(WatchedEventType type, string serverPath)
    {
        _table.Take(type, serverPath, _told);
        TellTaken(new WatchedEvent(type, ToClientPath(serverPath)));
    }

    /// <summary>The server has removed its watches on the path: whoever waited for them is told so.</summary>
    internal void TellRemoved(string clientPath)
    {
        _table.TakeRemoved(ToServerPath(clientPath), WatchKind.Data, _told);
        _table.TakeRemoved(ToServerPath(clientPath), WatchKind.Existence, _told);
        TellTaken(new WatchedEvent(WatchedEventType.DataWatchRemoved, clientPath));
        _table.TakeRemoved(ToServerPath(clientPath), WatchKind.Children, _told);
        TellTaken(new WatchedEvent(WatchedEventType.ChildWatchRemoved, clientPath));
    }

    /// <summary>The session is over: everybody is told so.</summary>
    internal void TellEnded()
    {
        foreach ((string path, Watcher watcher) in _table.TakeAll())
        {
            Tell(watcher, new WatchedEvent(WatchedEventType.SessionEnded, ToClientPath(path)));
        }

        _handoff?.Flush();
    }

    private string ToServerPath(string clientPath) => ZnodePath.Prefix(chroot, clientPath);

    private void TellTaken(WatchedEvent what)
    {
        foreach (Watcher watcher in _told)
        {
            Tell(watcher, what);
        }

        _told.Clear();
    }

    private void Tell(Watcher watcher, WatchedEvent what)
    {
        if (watcher.Inline)
        {
            watcher.Callback(what);
        }
        else
        {
            callbacks.Post(_ => watcher.Callback(what), null, _handoff);
        }
    }
}
