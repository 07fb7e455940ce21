namespace RedisFailover.UnitTests.Simulation;

/// <summary>How a node keeps its data over a restart.</summary>
internal enum Persistence
{
    /// <summary>RDB files, now and then.</summary>
    Snapshots,

    /// <summary>An append-only file that has every write that was answered.</summary>
    AppendsAlways,

    /// <summary>An append-only file that is synced once a second: a power cut takes its end.</summary>
    AppendsEverySecond,

    /// <summary>Nothing: it is empty after each restart.</summary>
    Nothing,
}

/// <summary>What it keeps on its disk, and what it is started from.</summary>
internal sealed partial class SimulatedRedis
{
    private const int MostOlder = 3;

    /// <summary>The base of an append-only file without a key, and what a key and a write take, in bytes.</summary>
    private const int EmptyBase = 88, KeyBytes = 20, WriteBytes = 50;

    private readonly List<(Commit? Data, string? ReplicationId, long Offset)> _older = [];
    private readonly List<AppendFile> _olderFiles = [];
    private readonly Queue<(long At, AppendFile File)> _unsynced = new();
    private (Commit? Data, string? ReplicationId, long Offset)? _disk;
    private AppendFile _file = AppendFile.Empty;
    private bool _goesBackAtStart;
    private bool _wipesAtStart;
    private bool _losesPower;
    private bool _hasStarted;
    private bool _isRewriting;
    private bool _isFileOutdated;
    private int _rewrites;
    private long _savedAt;

    internal Persistence Persistence { get; init; }

    /// <summary>What is done once, when it has received a full copy and begins to write it into its append-only file.</summary>
    internal Action? WhenRewriting { get; set; }

    /// <summary>
    /// Whether its append-only file lacks writes that it had, and is not empty: a power cut has taken its end, or somebody has put an older
    /// one back. Until a full copy.
    /// </summary>
    internal bool IsFileShort { get; private set; }

    internal bool Appends => Persistence is Persistence.AppendsAlways or Persistence.AppendsEverySecond;

    private bool HasAllInItsFile => Appends && !_isRewriting && !_isFileOutdated && !CannotSave;

    /// <summary>Before its first start: the role in its file and the data on its disk.</summary>
    internal void Prepare(NodeAddress? master, Commit? data, string replicationId, long offset)
    {
        _configuredMaster = master;
        _disk = data is null ? null : (data, replicationId, offset);
        _file = AppendFile.Rewritten(data);
    }

    /// <summary>It loses its data with its next start.</summary>
    internal void LoseDisk() => _wipesAtStart = true;

    /// <summary>It starts next time from an older file than its last.</summary>
    internal void TakeOlderDisk() => _goesBackAtStart = Appends ? _olderFiles.Count > 0 : _older.Count > 0;

    /// <summary>Its next end is that of its machine: what is not synced is lost.</summary>
    internal void LosePower() => _losesPower = true;

    /// <summary>Whether it has a write, in memory or in a file from which it could be started.</summary>
    internal bool Keeps(Commit? write)
        => Commit.Contains(Data, write)
            || (Appends ? !_isFileOutdated && Commit.Contains(_file.Data, write) : Commit.Contains(_disk?.Data, write));

    /// <summary>What it is started from; null for nothing. Without a replication id where the file does not tell it.</summary>
    private (Commit? Data, string? ReplicationId, long Offset)? FromDisk()
    {
        if (!_hasStarted)
        {
            // As a replica that has long had its master's data, or as that.
            _hasStarted = true;
            _savedAt = World.Now;
            Synced();
            return _disk;
        }

        if (_wipesAtStart || Persistence == Persistence.Nothing)
        {
            (_disk, _file, IsFileShort) = (null, AppendFile.Empty, false);
        }
        else if (_goesBackAtStart)
        {
            _disk = Appends ? null : _older[0];
            _file = Appends ? _olderFiles[0] : AppendFile.Empty;
            IsFileShort = true;
        }

        _wipesAtStart = _goesBackAtStart = _isRewriting = _isFileOutdated = false;
        _older.Clear();
        _olderFiles.Clear();
        _savedAt = World.Now;
        Synced();
        return !Appends ? _disk : _file.Data is { } data ? (data, null, 0) : null;
    }

    /// <summary>A snapshot; or somebody keeps a copy of the append-only file, which may be put back later.</summary>
    private void Save()
    {
        if (!CannotSave && !_isRewriting && !_isFileOutdated && Appends && !ReferenceEquals(_file.Data, Data) && !IsLoading)
        {
            AppendToFile();
        }

        if (World.Now - _savedAt <= settings.SaveInterval || IsLoading || CannotSave || Persistence == Persistence.Nothing)
        {
            return;
        }

        _savedAt = World.Now;
        if (Appends)
        {
            _olderFiles.Add(_file);
            _olderFiles.RemoveRange(0, Math.Max(0, _olderFiles.Count - MostOlder));
            return;
        }

        if (_disk is { } older)
        {
            _older.Add(older);
            _older.RemoveRange(0, Math.Max(0, _older.Count - MostOlder));
        }

        _disk = (Data, ReplicationId, Offset);
    }

    /// <summary>
    /// A full copy: the file that was received takes the place of its own before it is loaded. An append-only file stays as it is until
    /// another one is written.
    /// </summary>
    private void Receive(Commit? data, string id, long offset)
    {
        if (Persistence == Persistence.Snapshots)
        {
            _disk = (data, id, offset);
        }

        _rewrites++;
        (_isRewriting, _isFileOutdated) = (false, Appends);
    }

    private void RewriteWhatWasReceived()
    {
        if (Appends)
        {
            Rewrite();
            WhenRewriting?.Invoke();
            WhenRewriting = null;
        }
    }

    /// <summary>Where the disk is full it is tried again.</summary>
    private void Rewrite()
    {
        int rewrite = ++_rewrites;
        _isRewriting = true;
        After(dice.Between(settings.RewriteTime / 4, settings.RewriteTime), () =>
        {
            if (rewrite != _rewrites)
            {
                return;
            }

            if (CannotSave)
            {
                Rewrite();
                return;
            }

            IsFileShort &= !_isFileOutdated;
            _isRewriting = _isFileOutdated = false;
            _file = AppendFile.Rewritten(Data);
            Synced();
        });
    }

    private void AppendToFile()
    {
        if (!Appends || _isFileOutdated || CannotSave)
        {
            return;
        }

        _file = _file with { Data = Data, Bytes = _file.Bytes + WriteBytes };
        _unsynced.Enqueue((World.Now, _file));
        while (_unsynced.Count > 1 && _unsynced.ElementAt(1).At <= World.Now - World.Second)
        {
            _unsynced.Dequeue();
        }

        if (!_isRewriting && _file.Bytes > settings.RewriteFrom && _file.Bytes > 2 * _file.Base)
        {
            Rewrite();
        }
    }

    private void Synced()
    {
        _unsynced.Clear();
        _unsynced.Enqueue((World.Now, _file));
    }

    private void LoseWhatIsNotSynced()
    {
        if (_losesPower && Persistence == Persistence.AppendsEverySecond)
        {
            long synced = World.Now - dice.Between(0, World.Second);
            AppendFile left = _unsynced.Where(f => f.At <= synced).Select(f => f.File).LastOrDefault(_unsynced.Peek().File);
            IsFileShort |= !ReferenceEquals(left.Data, Data);
            _file = left;
        }

        _losesPower = false;
    }

    /// <param name="Data">What it has.</param>
    /// <param name="Bytes">Its length.</param>
    /// <param name="Base">Of these, what the last rewrite wrote.</param>
    private sealed record AppendFile(Commit? Data, long Bytes, long Base)
    {
        internal static AppendFile Empty { get; } = new(null, EmptyBase, EmptyBase);

        internal static AppendFile Rewritten(Commit? data)
            => new(data, EmptyBase + (KeyBytes * (data?.Depth ?? 0)), EmptyBase + (KeyBytes * (data?.Depth ?? 0)));
    }
}
