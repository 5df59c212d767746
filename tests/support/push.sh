set -eu
folder=$(mktemp -d)
git clone --quiet git://git.zalora.com/zalora.git "$folder"
cd "$folder"
echo "$1" >>changes
git add changes
git -c user.name='A Person' -c user.email=person@example.com commit --quiet --message "$1"
git push --quiet origin HEAD:main
rm -rf "$folder"
git -C /var/lib/hydra-evaluator/zalora.git ls-remote --quiet git://git.zalora.com/zalora.git refs/heads/main | cut -f1
