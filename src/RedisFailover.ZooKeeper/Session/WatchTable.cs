namespace RedisFailover.ZooKeeper;

/// <summary>Which of a znode's properties a watch is on; the numbers are those of removeWatches.</summary>
internal enum WatchKind
{
    Children = 1,
    Data = 2,
    Existence = 3,
}

/// <summary>A callback to tell once. Inline ones are this project's own: they run on the read loop and never block.</summary>
internal readonly record struct Watcher(Action<WatchedEvent> Callback, bool Inline);

/// <summary>
/// The watches of one session, by server path. The session's loop adds and takes; whoever loses interest may forget a watch from any
/// thread. The same callback on the same path and kind counts once.
/// </summary>
internal sealed class WatchTable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, HashSet<Watcher>>[] _byKind = [[], [], []];

    /// <summary>Paths watched, each kind counted.</summary>
    internal int Count
    {
        get
        {
            lock (_gate)
            {
                return _byKind.Sum(k => k.Count);
            }
        }
    }

    internal void Add(WatchKind kind, string serverPath, Watcher watcher)
    {
        lock (_gate)
        {
            Dictionary<string, HashSet<Watcher>> table = Table(kind);
            if (!table.TryGetValue(serverPath, out HashSet<Watcher>? watchers))
            {
                table[serverPath] = watchers = [];
            }

            watchers.Add(watcher);
        }
    }

    /// <summary>The watcher will not be told; the server keeps its watch, and its event will find nobody.</summary>
    internal void Forget(string serverPath, Watcher watcher)
    {
        lock (_gate)
        {
            foreach (Dictionary<string, HashSet<Watcher>> table in _byKind)
            {
                if (table.TryGetValue(serverPath, out HashSet<Watcher>? watchers) && watchers.Remove(watcher) && watchers.Count == 0)
                {
                    table.Remove(serverPath);
                }
            }
        }
    }

    /// <summary>Takes out everything that the event uses up.</summary>
    internal void Take(WatchedEventType type, string serverPath, List<Watcher> told)
    {
        lock (_gate)
        {
            if (type is WatchedEventType.Created or WatchedEventType.DataChanged or WatchedEventType.Deleted)
            {
                TakeFrom(WatchKind.Data, serverPath, told);
                TakeFrom(WatchKind.Existence, serverPath, told);
            }

            if (type is WatchedEventType.ChildrenChanged or WatchedEventType.Deleted)
            {
                TakeFrom(WatchKind.Children, serverPath, told);
            }
        }
    }

    internal void TakeRemoved(string serverPath, WatchKind kind, List<Watcher> told)
    {
        lock (_gate)
        {
            TakeFrom(kind, serverPath, told);
        }
    }

    internal string[] Paths(WatchKind kind)
    {
        lock (_gate)
        {
            return [.. Table(kind).Keys];
        }
    }

    /// <summary>Takes out everything: the session is over.</summary>
    internal List<(string ServerPath, Watcher Watcher)> TakeAll()
    {
        List<(string, Watcher)> all = [];
        lock (_gate)
        {
            foreach (Dictionary<string, HashSet<Watcher>> table in _byKind)
            {
                foreach ((string path, HashSet<Watcher> watchers) in table)
                {
                    all.AddRange(watchers.Select(w => (path, w)));
                }

                table.Clear();
            }
        }

        return all;
    }

    private Dictionary<string, HashSet<Watcher>> Table(WatchKind kind) => _byKind[(int)kind - 1];

    private void TakeFrom(WatchKind kind, string serverPath, List<Watcher> told)
    {
        if (Table(kind).Remove(serverPath, out HashSet<Watcher>? watchers))
        {
            foreach (Watcher watcher in watchers)
            {
                // A callback on both the data and the existence of one znode is told once.
                if (!told.Contains(watcher))
                {
                    told.Add(watcher);
                }
            }
        }
    }
}
