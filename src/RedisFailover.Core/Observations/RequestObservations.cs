namespace RedisFailover;

/// <summary>What operators ask for, and the settings that they have changed.</summary>
internal static class RequestObservations
{
    internal static ClusterView Wished(this ClusterView view, OperatorWished wished)
        => view.AskedFor(view with { ManualFailover = wished.Wish, WishHeard = true }, wished.At);

    internal static ClusterView Requested(this ClusterView view, RequestsSeen seen)
        => view.AskedFor(
            view with
            {
                Requests = [.. seen.Pending.Where(r => r.IsSwitchover)],
                Changes = [.. seen.Pending.Where(r => !r.IsSwitchover)],
            },
            seen.At);

    /// <summary>
    /// What a watch tells a leader late, from before its own write, is no news. A znode that is lost is written again by the leader.
    /// </summary>
    internal static ClusterView Read(this ClusterView view, ConfigRead read)
        => view.Term is not null && !read.Synced && read.Config is not null && read.Version < view.ConfigVersion ? view
            : view with
            {
                ConfigVersion = read.Version,
                ConfigFault = read.Fault ?? (read.Config is null && view.Config is not null ? "the znode is missing" : null),
                Config = read.Config ?? view.Config,
                PauseEndsAt = read.Config is null ? view.PauseEndsAt : read.At + read.PauseLeft,
            };

    /// <summary>The request is answered.</summary>
    internal static ClusterView Without(this ClusterView view, OperatorRequest? request, TimeSpan at)
        => request is null ? view : view.AskedFor(view with { Requests = view.Requests.RemoveAll(r => r.Id == request.Id) }, at);

    /// <summary>
    /// After the znode was removed. If the watch has told since of a wish, that may be the next one: then the watch has the last
    /// word.
    /// </summary>
    internal static ClusterView WithoutWish(this ClusterView view, TimeSpan at)
        => view.WishHeard ? view : view.AskedFor(view with { ManualFailover = null }, at);

    private static ClusterView AskedFor(this ClusterView view, ClusterView next, TimeSpan at)
        => next with { WishedAt = next.Wish == view.Wish && next.Request?.Id == view.Request?.Id ? view.WishedAt : at };
}
