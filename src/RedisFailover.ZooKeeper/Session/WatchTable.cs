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
/// The watches of one session, by server path. Owned by the session's loop: only the loop touches it, so there is no lock.
/// The same callback on the same path and kind counts once.
/// </summary>
internal sealed class WatchTable
{
    private readonly Dictionary<string, HashSet<Watcher>>[] _byKind = [[], [], []];

    internal int Count => _byKind.Sum(k => k.Count);

    internal void Add(WatchKind kind, string serverPath, Watcher watcher)
    {
        Dictionary<string, HashSet<Watcher>> table = Table(kind);
        if (!table.TryGetValue(serverPath, out HashSet<Watcher>? watchers))
        {
            table[serverPath] = watchers = [];
        }

        watchers.Add(watcher);
    }

    /// <summary>Takes out everything that the event uses up.</summary>
    internal void Take(WatchedEventType type, string serverPath, List<Watcher> told)
    {
        switch (type)
        {
            case WatchedEventType.Created or WatchedEventType.DataChanged:
                TakeFrom(WatchKind.Data, serverPath, told);
                TakeFrom(WatchKind.Existence, serverPath, told);
                break;
            case WatchedEventType.ChildrenChanged:
                TakeFrom(WatchKind.Children, serverPath, told);
                break;
            case WatchedEventType.Deleted:
                TakeFrom(WatchKind.Data, serverPath, told);
                TakeFrom(WatchKind.Existence, serverPath, told);
                TakeFrom(WatchKind.Children, serverPath, told);
                break;
            default:
                break;
        }
    }

    internal void Remove(WatchKind kind, string serverPath, List<Watcher> told) => TakeFrom(kind, serverPath, told);

    internal IEnumerable<string> Paths(WatchKind kind) => Table(kind).Keys;

    /// <summary>Takes out everything: the session is over.</summary>
    internal List<(string ServerPath, Watcher Watcher)> TakeAll()
    {
        List<(string, Watcher)> all = [];
        foreach (Dictionary<string, HashSet<Watcher>> table in _byKind)
        {
            foreach ((string path, HashSet<Watcher> watchers) in table)
            {
                all.AddRange(watchers.Select(w => (path, w)));
            }

            table.Clear();
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
